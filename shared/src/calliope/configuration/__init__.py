"""Settings as an operator sees them: environment variables, what is wrong with them, and a page of help."""
