"""Writes what is generated from code and definitions, or (`--check`) says what is stale.

A generator is a file `tools/generators/<name>.py` with `generate() -> dict[str, str]`: path from the root -> text.
Each runs in a process of its own, since one process cannot hold two Django rooms.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = ROOT / "tools" / "generators"
GENERATED = Path("docs/generated")
# Measured, not generated: it differs from machine to machine.
MEASURED = frozenset(f"docs/generated/{name}" for name in ("bench.md", "bench-growth.svg", "bench-nation.svg"))


def main() -> int:
    """Run every generator; write, or compare and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a file is stale")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.path.insert(0, str(ROOT))
        json.dump(runpy.run_path(str(arguments.one))["generate"](), sys.stdout)
        return 0
    produced = _produce()
    stale = sorted(path for path, text in produced.items() if _read(ROOT / path) != text)
    orphans = sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / GENERATED).rglob("*")
        if path.is_file() and str(path.relative_to(ROOT)) not in produced.keys() | MEASURED
    )
    if arguments.check:
        for path in stale:
            print(f"{path}: stale; run `make generate`", file=sys.stderr)
        for path in orphans:
            print(f"{path}: no generator writes it; remove it", file=sys.stderr)
        return 1 if stale or orphans else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(produced[path], encoding="utf-8")
        print(path)
    for path in orphans:
        (ROOT / path).unlink()
        print(f"{path} (removed)")
    return 0


def _produce() -> dict[str, str]:
    produced: dict[str, str] = {}
    for generator in sorted(GENERATORS.glob("*.py")):
        command = [sys.executable, __file__, "--one", str(generator)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if answer.returncode:
            sys.exit(f"{generator.relative_to(ROOT)} failed:\n{answer.stderr}")
        for path, text in json.loads(answer.stdout).items():
            if path in produced:
                sys.exit(f"{generator.relative_to(ROOT)}: {path} is written by another generator too")
            produced[path] = text
    return produced


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
