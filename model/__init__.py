"""The nouns of Towpath: pure values and decisions. No I/O, no clocks, nothing of ours imported."""
