"""How other CI systems reach Towpath."""
