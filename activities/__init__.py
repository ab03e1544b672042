"""The effects: one class per outside system, clients injected, safe to run twice."""
