"""The season pack in force: a version never goes down, and a refused file does not stop the room."""

from __future__ import annotations

import pytest
from tests.ssb.conftest import make_pack

from ipis.kernel.errors import PackRefused, TryLater
from ipis.ssb import packs


@pytest.fixture
def season(room, tpf, tmp_path):
    """Give the room with a pack folder of the test's own, and the way to put a version there."""
    own = room.model_copy(update={"pack": tmp_path / "packs"})
    own.pack.mkdir()

    def put(version, year=2017):
        make_pack(own, tpf, year, version=version)
        return own.pack / f"iplos-{year}.sesong"

    return own, put


def restart():
    """Forget what a process remembers."""
    packs._verified.cache_clear()
    packs._tell.cache_clear()


def version(settings):
    restart()
    return packs.pack_of(settings, "iplos", 2017).version


def test_newer_pack_takes_over(season):
    settings, put = season
    put(1)
    assert version(settings) == 1
    put(2)
    assert version(settings) == 2


def test_older_pack_brought_back_is_refused_also_after_a_restart(season):
    """An old, rightly signed pack may hold a key that was revoked since."""
    settings, put = season
    put(2)
    assert version(settings) == 2
    older = put(1)
    assert version(settings) == 2
    assert packs.packs(settings)[0][1] != older


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda _: b"", lambda data: data + b"x"])
def test_last_good_pack_stands_in_while_the_new_one_is_damaged(season, damage):
    """A file caught half copied must not stop the season."""
    settings, put = season
    put(1)
    assert version(settings) == 1
    path = put(2)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert version(settings) == 1
    path.write_bytes(whole)
    assert version(settings) == 2


def test_damaged_first_pack_is_refused(season):
    """Where nothing is kept there is nothing to stand in."""
    settings, put = season
    put(1).write_bytes(b"half")
    with pytest.raises(PackRefused):
        version(settings)


def test_damaged_pack_of_one_year_leaves_the_other_years_alone(season):
    settings, put = season
    put(1)
    put(1, year=2016).write_bytes(b"half")
    assert version(settings) == 1
    with pytest.raises(TryLater):
        packs.pack_of(settings, "iplos", 2016)


def test_pack_that_is_taken_away_is_taken_away(season):
    """What is kept stands in for a refused file only."""
    settings, put = season
    path = put(1)
    assert version(settings) == 1
    path.unlink()
    with pytest.raises(TryLater):
        version(settings)
