"""The three environments; keys, parcels and receipts carry theirs, and each party refuses another than its own."""

from enum import StrEnum


class Environment(StrEnum):
    """Where keys and data belong."""

    PRODUCTION = "production"
    """Real persons; the clock cannot be turned and roots are pinned."""
    TEST = "test"
    """Synthetic persons, run by the parties together before a season."""
    DEMO = "demo"
    """Synthetic persons, all parties on one machine."""

    @property
    def synthetic(self) -> bool:
        """Tell whether only synthetic persons may occur."""
        return self is not Environment.PRODUCTION
