"""Engines that run the SQL of validation; each is handed tables and nothing else."""
