"""Webhooks nobody would send: only answers and refusals may come of them."""
