"""Realistic synthetic extracts with known faults."""
