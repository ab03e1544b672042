"""Measurements on the running stack, each number beside its raw floor: `python -m tests.bench`."""
