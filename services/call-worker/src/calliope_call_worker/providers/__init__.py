"""Vendors behind small ports: one file each, chosen in `registry.py`."""
