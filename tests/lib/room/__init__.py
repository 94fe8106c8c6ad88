"""A room for the tests of lib."""
