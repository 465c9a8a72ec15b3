"""Refusals in words: what a value must be, and which known field an unknown one could have meant."""
