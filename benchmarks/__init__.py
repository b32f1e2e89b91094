"""Parity and throughput."""
