"""Feedback: what is wrong with a delivery and what it holds, as lists, tables and a page in a zip that only the PIN opens."""
