"""Measures against peers: each figure is a ratio of two runs on the same machine in the same minute."""
