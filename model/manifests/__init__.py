"""What deploying makes: Kubernetes objects as plain dicts, each from values only, one noun a file."""
