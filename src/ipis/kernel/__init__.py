"""What all parties agree on to the byte."""
