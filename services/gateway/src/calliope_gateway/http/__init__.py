"""The HTTP edge: one file per noun, one list of routes."""
