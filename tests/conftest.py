"""What all tests share: the repository's root, the hypothesis profile, and the refusal of two Django rooms in one process.

The tests of a tree say the same whenever they are run: hypothesis draws the same examples for the same test, and draws
anew, and many more, with IPIS_HYPOTHESIS=long.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
DJANGO_ROOMS = frozenset({"tpf", "ssb", "filsluse"})

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", UNHURRIED, max_examples=50, derandomize=True)
settings.register_profile("long", UNHURRIED, max_examples=2_000)
settings.load_profile(os.environ.get("IPIS_HYPOTHESIS", "fast"))


def pytest_collection_modifyitems(config, items):
    """Refuse two Django rooms in one process, and leave the long tests to their own verb."""
    rooms = {item.path.relative_to(ROOT).parts[1] for item in items if item.path.is_relative_to(ROOT / "tests")}
    if len(rooms & DJANGO_ROOMS) > 1:
        raise pytest.UsageError(
            f"one process cannot hold two Django rooms: {sorted(rooms & DJANGO_ROOMS)}; run `make test`"
        )
    if not config.option.markexpr:
        long = [item for item in items if item.get_closest_marker("long")]
        if long:
            config.hook.pytest_deselected(items=long)
            items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def root():
    """Give the repository's root."""
    return ROOT
