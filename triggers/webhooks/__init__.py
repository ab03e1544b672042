"""Webhooks: one file a provider. The way in is: verify, parse, one durable call, 202. Nothing else."""
