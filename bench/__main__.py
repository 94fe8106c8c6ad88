"""`make bench`: runs every bench, writes docs/generated/bench.md with the machine, fails when a target is missed."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from bench.extracts import extracts
from bench.identities import pseudonyms, validation
from bench.pairs import ROUNDS, Result
from bench.parts import parts

PAGE = Path(__file__).resolve().parent.parent / "docs" / "generated" / "bench.md"
BENCHES = {"pseudonyms": pseudonyms, "validation": validation, "parts": parts, "extracts": extracts}


def main(names: list[str]) -> int:
    """Run the benches named, or all; only a full run writes the page."""
    results: list[Result] = []
    for name in names or BENCHES:
        for result in BENCHES[name]():
            results.append(result)
            mark = "✓" if result.reached else "✗"
            print(f"{mark} {result.name}: {result.ratio:.2f} × {result.peer_name}", flush=True)
    if not names:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(results), encoding="utf-8")
    return int(not all(result.reached for result in results))


def page(results: list[Result]) -> str:
    """Write the figures as a page."""
    lines = [
        "# Benches",
        "",
        f"Ratios in one run, the two sides in turns, best of {ROUNDS}. Read ratios, not absolutes.",
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
    return "\n".join(lines) + "\n"


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
    sys.exit(main(sys.argv[1:]))
