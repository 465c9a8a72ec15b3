"""The bus: what exists on it, how to connect, publish, ask, answer, and what becomes of errors."""
