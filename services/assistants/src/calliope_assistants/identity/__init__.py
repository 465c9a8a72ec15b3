"""Who may ask for what: organizations and their API keys. Knows no store; `handlers.py` alone knows the bus."""
