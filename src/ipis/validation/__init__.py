"""The rule language and its engines, used by the municipality before sealing and by SSB after loading."""
