"""Statistics Norway: loads, validates, gives feedback, publishes, never sees an identifier."""
