"""Faults that are planted on purpose, each with exactly the findings that validation must make of it."""
