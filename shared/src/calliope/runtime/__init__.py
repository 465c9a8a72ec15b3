"""How processes of ours run: from the command line to the exit status, and the background jobs in between."""
