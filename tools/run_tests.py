"""Runs the tests as the architecture asks: each Django room in a process of its own, coverage combined, one sum.

The folders are found, not listed: a new folder of tests is run without being named here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
# One process cannot hold two Django rooms; the journey and the browser start processes of their own and share nothing.
ALONE = ("tpf", "ssb", "filsluse", "journey", "nation", "browser")
# These measure by the clock or hold the machine's ports: no second test beside them.
ONE_WORKER = frozenset({"journey", "nation", "browser"})


@dataclass(frozen=True, slots=True)
class Run:
    """One pytest process: its name and its folders."""

    name: str
    folders: tuple[str, ...]


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
        codes, seconds = {}, {}
        for run in runs:
            began = time.monotonic()
            codes[run.name] = _pytest(run, Path(scratch), long=arguments.long, covered=whole)
            seconds[run.name] = time.monotonic() - began
        counts = _sum(Path(scratch))
    # pytest answers 5 where it found no test: right for a room without long ones, wrong for anything else.
    failed = [name for name, code in codes.items() if code not in ((0, 5) if arguments.long else (0,))]
    if whole:
        _coverage("combine", "--quiet")
        if _coverage("report"):
            failed.append("coverage")
    print("\n" + "\n".join(f"{seconds[name]:8.1f} s  {name}" for name in sorted(seconds, key=lambda n: -seconds[n])))
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


def _pytest(run: Run, scratch: Path, *, long: bool, covered: bool) -> int:
    command = [sys.executable, "-m"]
    command += ["coverage", "run", "-m", "pytest"] if covered else ["pytest"]
    command += [f"tests/{folder}" for folder in run.folders]
    command += [f"--junitxml={scratch / run.name}.xml", "-q"]
    command += ["-m", "long"] if long else []
    if run.name not in ONE_WORKER and not long:
        command += ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "loadfile"]
    print(f"\n──── {run.name}: {' '.join(run.folders)}", flush=True)
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


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
