"""The outside world of the gateway: the bus."""
