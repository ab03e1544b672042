"""The program inside the builder images: a commit in, an image digest out. Standard library only."""
