"""How calls come in and go on: a carrier's hook is parsed, its sender verified, the call claimed, started, answered."""
