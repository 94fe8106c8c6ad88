"""Feedback: what is wrong with a delivery and what it holds: lists, tables and a page in a zip that the PIN opens."""
