"""`make bench`: runs every bench, writes docs/generated/bench.md with the machine, fails when a target is missed.

`python -m bench <names>` runs some of them and writes nothing; `--share` takes less than the whole nation.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from bench.extracts import extracts
from bench.growth import growth
from bench.identities import pseudonyms, validation
from bench.latency import latency
from bench.nation.run import nation, program_start, section
from bench.pairs import ROUNDS, Result
from bench.parts import parts
from bench.peers import libraries
from bench.rules import rules

PAGE = Path(__file__).resolve().parent.parent / "docs" / "generated" / "bench.md"
STAGES = PAGE.with_name("bench-nation.svg")
BENCHES = {
    "pseudonyms": pseudonyms,
    "validation": validation,
    "parts": parts,
    "extracts": extracts,
    "rules": rules,
    "libraries": libraries,
    "latency": latency,
    "growth": growth,
}

EXPLAINED = (
    "Opening is held up by `pyrage`: it decrypts a block of 64 KiB, hands it over and waits, all under one lock of the",
    "interpreter, while `age` decrypts, writes and reads in one program. A thread of its own writes behind it",
    "(`kernel/behind.py`); joining the blocks in that thread too lost a tenth. Without writing anything `pyrage` is",
    "about as fast as `age` is with it, so there is little to gain around it.",
    "",
    "The municipalities' rules are 18 statements a delivery. They are planned once, but even then DuckDB sets up some",
    "hundred expressions and a dozen windows and joins for each run: about 0.1 s of processor, whatever the rows,",
    "which two connections share, and 0.04 s of ours around them. All deliveries in one run cost a tenth of it,",
    "which is how SSB judges; a municipality has one.",
    "What the libraries do not do and we do within our time: count each rule's verdicts, and keep the value found.",
)
"""What a reader asks who finds a figure below its target."""


def main() -> int:
    """Run the benches named, or all and the nation; only a full run writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES], help="some benches instead of all")
    parser.add_argument("--share", type=float, default=1.0, help="of the nation's persons")
    arguments = parser.parse_args()
    results: list[Result] = []
    for name in arguments.names or BENCHES:
        for result in BENCHES[name]():
            results.append(result)
            mark = "✓" if result.reached else "✗"
            print(f"{mark} {result.name}: {result.ratio:.2f} × {result.peer_name}", flush=True)
    reached = all(result.reached for result in results)
    if not arguments.names:
        run, start = nation(arguments.share), program_start()
        for goal in run.goals():
            print(f"{'✓' if goal.reached else '✗'} {goal.name}: {goal.value:.3g} {goal.unit}", flush=True)
        text = page(results) + "\n" + "\n".join(["## The nation", "", *section(run, STAGES, start)]) + "\n"
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        reached &= all(goal.reached for goal in run.goals())
    return int(not reached)


def page(results: list[Result]) -> str:
    """Write the figures as a page."""
    lines = [
        "# Benches",
        "",
        f"Ratios in one run, the two sides in turns, best of {ROUNDS} where short. Read ratios, not absolutes.",
        "",
        f"Machine: {machine()}.",
        "",
        "| work | ours | peer | ratio | asked for | |",
        "|---|---|---|---|---|---|",
    ]
    for each in results:
        asked = f"≥ {each.target:g} ×" if each.target is not None else "–"
        peer = f"{_short(each.peer)} {each.unit} ({each.peer_name})"
        ratio = f"**{each.ratio:.3g} ×**" + ("" if each.reached else " missed")
        lines.append(f"| {each.name} | {_short(each.ours)} {each.unit} | {peer} | {ratio} | {asked} | {each.note} |")
    return "\n".join([*lines, "", *EXPLAINED, "", "![growth of the register](bench-growth.svg)", ""])


def machine() -> str:
    """Say what was measured on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    busy = f"load {os.getloadavg()[2]:.1f} over the last 15 minutes"
    return f"{cpu}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB; {system}; {busy}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def _short(rate: float) -> str:
    for factor, letter in ((1e6, " M"), (1e3, " k")):
        if rate >= factor:
            return f"{rate / factor:.3g}{letter}"
    return f"{rate:.3g}"


if __name__ == "__main__":
    sys.exit(main())
