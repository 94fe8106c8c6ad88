"""The national run as a bench: every party in turn, on extracts that lie on disk, and the table of its stages."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.nation.ground import Ground, draw_extracts, lay_out, run_party
from bench.nation.stopwatch import Report
from bench.plots import bars

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTIES = {
    "municipalities": ("municipalities",),
    "tpf": ("tpf",),
    "ssb-intake": ("ssb", "intake"),
    "ssb-feedback": ("ssb", "feedback"),
}
"""The processes of a run, in order: the module of each and what it is told."""
TPF_NAMED = ("open identity parts", "judge and pseudonymise", "seal mapping", "sign")
_MOST_MEMORY = 2 << 30


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure of the national run beside what is asked for."""

    name: str
    value: float
    unit: str
    most: float | None

    @property
    def reached(self) -> bool:
        """Tell whether it is reached; a figure without a goal is for information."""
        return self.most is None or self.value <= self.most


@dataclass(frozen=True, slots=True)
class Run:
    """A national run that has been made."""

    share: float
    persons: int
    drawn_seconds: float
    bytes: int
    reports: dict[str, Report]

    def goals(self) -> list[Goal]:
        """Hold the run against what is asked of a whole nation; a share of it is held against the same."""
        at = self.reports
        tpf = at["tpf"]
        named = sum(tpf.stages[name].wall for name in TPF_NAMED if name in tpf.stages)
        ssb = at["ssb-intake"].wall + at["ssb-feedback"].wall
        peaks = {name: peak for report in at.values() for name, peak in report.peak.items()}
        highest = max(peaks, key=lambda name: peaks[name])
        return [
            Goal("municipalities: parse, check, seal, in one process", at["municipalities"].wall, "s", 90),
            Goal("the same, processor time", at["municipalities"].cpu, "s", None),
            Goal("season pack read and verified, once a municipality", at["municipalities"].facts["start"], "s", None),
            Goal("TPF: open identity parts, judge, pseudonymise, seal mapping, sign", named, "s", 5),
            Goal("TPF: the worker's whole time, with unpacking, rows and their commits", tpf.wall, "s", None),
            Goal("SSB: open, join, load, rules, tables, files", ssb, "s", 60),
            Goal("the same, processor time", at["ssb-intake"].cpu + at["ssb-feedback"].cpu, "s", None),
            Goal("SSB: taking the hand-over", at["ssb-intake"].facts["hand-over"], "s", None),
            Goal(f"highest peak of memory ({highest})", peaks[highest] / 2**20, "MiB", _MOST_MEMORY / 2**20),
            Goal("synth to XML", self.persons / self.drawn_seconds, "persons/s", None),
        ]


def nation(share: float, most: int | None = None, kept: Path | None = None) -> Run:
    """Draw the nation, lay the rooms out and let everything go the whole way."""
    with tempfile.TemporaryDirectory() as scratch:
        ground = Ground(kept or Path(scratch), 2017)
        began = time.perf_counter()
        persons = draw_extracts(ground, share, most)
        drawn = time.perf_counter() - began
        lay_out(ground)
        reports = {}
        for name, (module, *told) in PARTIES.items():
            run_party(ground, module, *told)
            reports[name] = Report.load(ground.report(name))
        size = sum(ground.extract_of(place).stat().st_size for place in ground.places())
        return Run(share, persons, drawn, size, reports)


def section(run: Run, plot: Path, start: float) -> list[str]:
    """Write the run as a section of the page, and its plot."""
    stages = {name: {stage: span.wall for stage, span in report.stages.items()} for name, report in run.reports.items()}
    bars(plot, f"Where the time goes: {run.persons} persons", stages, "s")
    count = run.reports["tpf"].facts["states"].get("erased", 0)
    whole = "the whole nation" if run.share == 1.0 else f"{run.share:.0%} of the nation's persons in all its places"
    lines = [
        f"One run over {whole}: {run.persons} persons, {count} forsendelser, {run.bytes / 2**20:.0f} MiB of XML.",
        "Each party is a process of its own that runs the room's own functions, on a disk that is really flushed.",
        "",
        "| | this run | asked of the nation | |",
        "|---|---|---|---|",
    ]
    for goal in run.goals():
        asked = "–" if goal.most is None else f"≤ {goal.most:g} {goal.unit}"
        lines.append(
            f"| {goal.name} | **{goal.value:.3g} {goal.unit}** | {asked} | {'' if goal.reached else 'missed'} |"
        )
    lines.append(f"| start of `ipis kommune seal` (imports), once a municipality | **{start:.2g} s** | – | |")
    lines += ["", f"![stages of the national run]({plot.name})", "", "| process | stage | s | s of processor | calls |"]
    lines.append("|---|---|---|---|---|")
    for name, report in run.reports.items():
        for stage, span in sorted(report.stages.items(), key=lambda each: -each[1].wall):
            lines.append(f"| {name} | {stage} | {span.wall:.2f} | {span.cpu:.2f} | {span.calls} |")
    return lines


def program_start(rounds: int = 3) -> float:
    """Time the start of `ipis kommune`, which the sum over one process leaves out."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "ipis", "kommune", "seal", "--help"], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times)


def show(reports: Sequence[Report]) -> None:
    """Print the stages of processes."""
    for report in reports:
        print(f"\n{report.name}: {report.wall:.2f} s, {report.cpu:.2f} s of processor")
        for name, span in sorted(report.stages.items(), key=lambda each: -each[1].wall):
            print(f"  {name:<28} {span.wall:8.2f} s {span.cpu:8.2f} s of processor {span.calls:7} calls")
        for name, peak in report.peak.items():
            print(f"  peak {name}: {peak / 2**20:.0f} MiB")
