"""The main job on real input, told step by step: what `make demo` runs after `make up`."""
