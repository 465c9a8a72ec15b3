"""Carriers' requests, answered by call-workers."""
