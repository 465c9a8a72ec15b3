"""Asking the vendors of an assistant, before a caller finds out what is wrong."""
