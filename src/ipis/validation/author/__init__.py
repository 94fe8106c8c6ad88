"""What a rule author works with: rules over any tables, rules checked, rules tried before they are switched on."""

SHIPPED = "iplos"
"""The register that is meant where none is named."""
