"""Intake: takes what TPF forwards, verifies, opens, joins and loads it, and answers with R3 and the receipt mail."""
