"""Calliope gateway: HTTP in, a command out, its reply back as HTTP. Decides nothing."""
