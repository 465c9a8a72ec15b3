"""The outside world of webhooks: store and bus."""
