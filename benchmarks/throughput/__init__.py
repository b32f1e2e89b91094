"""Throughput: how long a call takes, of any number of engines side by side in one run."""
