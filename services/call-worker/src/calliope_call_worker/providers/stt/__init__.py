"""Speech to text: the port and its vendors."""
