"""What the operator can say: one file per noun, each with an `add` that tells the command line of its commands."""
