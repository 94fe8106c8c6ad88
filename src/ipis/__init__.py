"""IPIS: care statistics from the municipalities to Statistics Norway, and what is wrong with them back."""
