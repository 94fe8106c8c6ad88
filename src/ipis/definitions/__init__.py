"""Data only: all that varies by collection and year."""
