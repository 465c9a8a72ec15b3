"""Ways to reach a receiver."""
