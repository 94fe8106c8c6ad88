"""`python -m bench.nation --share 0.1`: the national run by itself."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bench.nation.ground import Ground, draw_extracts, lay_out, run_party
from bench.nation.stopwatch import Report

PARTIES = {
    "municipalities": ("municipalities",),
    "tpf": ("tpf",),
    "ssb-intake": ("ssb", "intake"),
    "ssb-feedback": ("ssb", "feedback"),
}
"""The processes of a run, in order: the module of each and what it is told."""


def main() -> None:
    """Run and print the stage table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.1, help="of the nation's persons, in all its municipalities")
    parser.add_argument("--places", type=int, help="so many municipalities instead of all")
    parser.add_argument("--year", type=int, default=2017)
    parser.add_argument("--keep", type=Path, help="a folder to work in and to leave; extracts there are used again")
    parser.add_argument("--only", choices=PARTIES, help="one party, on what the ones before have left there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        ground = Ground(arguments.keep or Path(scratch), arguments.year)
        if not ground.extracts.exists():
            began = time.perf_counter()
            persons = draw_extracts(ground, arguments.share, arguments.places)
            print(f"{persons} persons drawn in {time.perf_counter() - began:.1f} s")
        if not ground.pack.exists():
            lay_out(ground)
        for party in PARTIES if arguments.only is None else [arguments.only]:
            run_party(ground, *PARTIES[party])
            show(Report.load(ground.report(party)))


def show(report: Report) -> None:
    """Print one process's stages."""
    print(f"\n{report.name}: wall {report.wall:.2f} s, cpu {report.cpu:.2f} s, {report.facts}")
    for name, span in sorted(report.stages.items(), key=lambda each: -each[1].wall):
        print(f"  {name:<28} {span.wall:8.2f} s wall {span.cpu:8.2f} s cpu {span.calls:7} calls")
    for name, peak in report.peak.items():
        print(f"  peak {name}: {peak / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
