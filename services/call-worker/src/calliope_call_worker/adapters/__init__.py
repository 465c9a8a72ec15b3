"""Edges of the call-worker towards the bus."""
