"""The interface that TPF forwards to."""
