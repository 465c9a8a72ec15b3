"""Text to speech: the port and its vendors."""
