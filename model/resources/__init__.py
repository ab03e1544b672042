"""The kinds that people declare in Kubernetes, one a file; `model.resources.all` lists them."""
