"""Engines: the contract of a bundle, runtimes, building. Runs without torch."""
