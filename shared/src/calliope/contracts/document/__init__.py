"""The assistant document, a file per part; `spec.py` holds the whole."""
