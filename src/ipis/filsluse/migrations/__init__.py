"""The migrations of the portal's tables."""
