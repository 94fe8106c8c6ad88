"""Runs the tests as the architecture asks: each Django room in a process of its own, coverage combined, one sum.

The folders are found, not listed: a new folder of tests is run without being named here. Two processes run side by
side, for one that waits for parties, for Java or for a lock leaves its core to the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
# One process cannot hold two Django rooms; the journey and the browser start processes of their own and share nothing.
# The longest first: what is begun last should be short.
ALONE = ("ssb", "journey", "tpf", "nation", "filsluse", "browser")
# These hold the machine's ports or many processes: no second test of the same folder beside one.
ONE_WORKER = frozenset({"journey", "nation", "browser"})
CORES = os.cpu_count() or 1
SIDE_BY_SIDE = min(2, CORES)
MOST_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Run:
    """One pytest process: its name and its folders."""

    name: str
    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a run: its exit code and its seconds."""

    name: str
    code: int
    seconds: float


def main() -> int:
    """Run what is asked for; non-zero when a test failed, none was found, or too little was covered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="one folder of tests/")
    parser.add_argument("--long", action="store_true", help="only the tests that take minutes")
    arguments = parser.parse_args()
    runs = plan(sorted(path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py"))), arguments.only)
    if not runs:
        print(f"no tests in tests/{arguments.only}", file=sys.stderr)
        return 1
    whole = not arguments.only and not arguments.long
    if whole:
        _coverage("erase")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        done = _run(runs, Path(scratch), long=arguments.long, covered=whole)
        counts = _sum(Path(scratch))
    # pytest answers 5 where it found no test: right for a room without long ones, wrong for anything else.
    failed = [each.name for each in done if each.code not in ((0, 5) if arguments.long else (0,))]
    if whole:
        _coverage("combine", "--quiet")
        if _coverage("report"):
            failed.append("coverage")
    longest = sorted(done, key=lambda each: -each.seconds)
    print("\n" + "\n".join(f"{each.seconds:8.1f} s  {each.name}" for each in longest))
    print(f"\n==== {counts} in {time.monotonic() - started:.2f}s, {len(runs)} processes ====")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def plan(folders: list[str], only: str | None) -> list[Run]:
    """Lay folders out over processes: what may share one first, then each of the others."""
    chosen = [folder for folder in folders if only in (None, folder)]
    together = tuple(folder for folder in chosen if folder not in ALONE)
    runs = [Run(only or "plain", together)] if together else []
    return [*runs, *(Run(folder, (folder,)) for folder in ALONE if folder in chosen)]


def _run(runs: list[Run], scratch: Path, *, long: bool, covered: bool) -> list[Done]:
    """Run all, some side by side with a share of the cores each; what each of several wrote is shown at its end."""
    at_once = min(SIDE_BY_SIDE, len(runs))
    workers = 1 if long else min(CORES // at_once, MOST_WORKERS)
    done = []
    with ThreadPoolExecutor(at_once) as lanes:
        begun = []
        for run in runs:
            command = [sys.executable, "-m", *(("coverage", "run", "-m") if covered else ()), "pytest"]
            command += [f"tests/{folder}" for folder in run.folders]
            command += [f"--junitxml={scratch / run.name}.xml", "-q", *(("-m", "long") if long else ())]
            if workers > 1 and run.name not in ONE_WORKER:
                command += ["-n", str(workers), "--dist", "loadfile"]
            begun.append(lanes.submit(_pytest, run, command, scratch / run.name if len(runs) > 1 else None))
        for one in as_completed(begun):
            done.append(one.result())
            if len(runs) > 1:
                print((scratch / done[-1].name).read_text(encoding="utf-8", errors="replace"), flush=True)
    return done


def _pytest(run: Run, command: list[str], written: Path | None) -> Done:
    print(f"──── {run.name}: {' '.join(run.folders)}", flush=True)
    began = time.monotonic()
    with written.open("wb") if written else nullcontext() as out:
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    return Done(run.name, done.returncode, time.monotonic() - began)


def _coverage(*arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=False).returncode


def _sum(scratch: Path) -> str:
    """Add up the runs in pytest's own words."""
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in scratch.glob("*.xml"):
        for suite in ET.parse(report).getroot().iter("testsuite"):  # noqa: S314 – pytest wrote it a moment ago
            for key in totals:
                totals[key] += int(suite.get(key, "0"))
    passed = totals["tests"] - totals["failures"] - totals["errors"] - totals["skipped"]
    words = {"failed": totals["failures"], "passed": passed, "skipped": totals["skipped"], "errors": totals["errors"]}
    return ", ".join(f"{count} {word}" for word, count in words.items() if count) or "no tests"


if __name__ == "__main__":
    sys.exit(main())
