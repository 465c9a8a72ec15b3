"""The operator's command: looks after an installation over the bus."""
