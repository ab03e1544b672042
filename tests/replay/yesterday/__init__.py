"""Workflows as an earlier release of Towpath ran them."""
