"""The demo is the journey: one municipality through all four parties and back, over sockets, each step proved."""

import json

from tests.journey.conftest import ipis


def test_a_season_of_the_newest_year_holds_at_every_step(tmp_path):
    """Half the faults corrected, the second feedback says fixed, open and new exactly."""
    ran = ipis("demo", "--persons", 300, "--keep", tmp_path / "demo", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["ok"], told
    assert [step["name"] for step in told["steps"]][-1] == "second feedback"
    assert len(told["steps"]) == 16


def test_a_year_that_nobody_has_shipped_and_a_renumbered_municipality_need_no_code(tmp_path, next_year):
    """2017 copied to 2099 with its dates moved on; 1601 answers by its successor's organisation number and account."""
    ran = ipis(
        "demo", "--year", 2099, "--definitions", next_year, "--kommune", "1601", "--persons", 100,
        "--keep", tmp_path / "demo", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["ok"]
    assert (tmp_path / "demo" / "kommune-1601" / "second" / "opened" / "worklist.csv").exists()
