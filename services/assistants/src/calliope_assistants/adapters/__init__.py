"""Edges towards the store and the bus."""
