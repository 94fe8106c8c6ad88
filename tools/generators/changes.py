"""Writes the change page from each collection year to the next, as `ipis rules changes` shows it."""

from __future__ import annotations

from itertools import pairwise

from ipis.kernel.collection import packaged, packaged_years
from ipis.validation.author import SHIPPED
from ipis.validation.author.changes import page


def generate() -> dict[str, str]:
    """Give a page for each two years that follow each other."""
    years = [packaged(SHIPPED, year) for year in packaged_years(SHIPPED)]
    return {
        f"docs/generated/changes-{SHIPPED}-{before.year}-{after.year}.md": page(before, after)
        for before, after in pairwise(years)
    }
