"""The process: the composition root. Nothing else knows every part."""
