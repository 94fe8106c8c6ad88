"""Organisation numbers, mail domains and PINs of demo municipalities, made by rule from the number.

The public data hold none of them, and real ones do not belong in a demo. For the environments demo and test only.
"""

from __future__ import annotations

import hashlib

_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)
_PIN_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def demo_orgnr(kommune: str) -> str:
    """Make the municipality's own organisation number: 9 digits, modulus 11 right, first digit 9."""
    return _first_valid(90_000_000 + int(kommune) * 100)


def demo_care_unit(kommune: str, n: int) -> str:
    """Make the organisation number of the municipality's care unit number n (0–89): first digit 8."""
    return _first_valid(80_000_000 + int(kommune) * 1000 + n * 10)


def demo_domain(kommune: str) -> str:
    """Make the mail domain, in the reserved top domain that reaches nobody."""
    return f"k{kommune}.kommune.test"


def demo_address(kommune: str) -> str:
    """Make the registered impersonal address (L17 §2.2)."""
    return f"postmottak@{demo_domain(kommune)}"


def demo_pin(kommune: str) -> str:
    """Make a PIN of 16 characters; a demo's secret only, so that the same command line works each time."""
    digest = hashlib.sha256(f"ipis demo pin {kommune}".encode()).digest()
    return "".join(_PIN_LETTERS[byte % 32] for byte in digest[:16])


def _first_valid(start: int) -> str:
    """Give the first of ten neighbours of the eight digits whose check digit exists (remainder 10 has none)."""
    for number in range(start, start + 10):
        remainder = sum(int(d) * w for d, w in zip(str(number), _WEIGHTS, strict=True)) % 11
        if remainder != 1:
            return f"{number}{(11 - remainder) % 11}"
    raise AssertionError(start)
