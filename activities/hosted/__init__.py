"""Providers' APIs, one a file."""
