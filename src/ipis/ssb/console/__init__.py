"""What SSB's staff see and decide."""
