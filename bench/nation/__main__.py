"""`python -m bench.nation --share 0.1`: the national run by itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.nation.ground import Ground, run_party
from bench.nation.run import PARTIES, nation, show
from bench.nation.stopwatch import Report


def main() -> None:
    """Run and print the stage table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of the nation's persons, in all its municipalities")
    parser.add_argument("--places", type=int, help="so many municipalities instead of all")
    parser.add_argument("--keep", type=Path, help="a folder to work in and to leave")
    parser.add_argument("--only", choices=PARTIES, help="one party anew, on what the ones before have left there")
    arguments = parser.parse_args()
    if arguments.only is None:
        run = nation(arguments.share, arguments.places, arguments.keep)
        show(list(run.reports.values()))
        for goal in run.goals():
            print(f"{'✓' if goal.reached else '✗'} {goal.name}: {goal.value:.3g} {goal.unit}")
        return
    ground = Ground(arguments.keep, 2017)
    run_party(ground, *PARTIES[arguments.only])
    show([Report.load(ground.report(arguments.only))])


if __name__ == "__main__":
    main()
