"""Language models: the port and its vendors."""
