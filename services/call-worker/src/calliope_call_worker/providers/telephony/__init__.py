"""Carriers: the port and its vendors."""
