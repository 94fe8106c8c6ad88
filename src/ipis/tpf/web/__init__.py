"""TPF's interface for programs and its form page; no private key is within reach of either."""
