"""What may be wrong with an installation: each file looks at one side of it and returns findings."""
