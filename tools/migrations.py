"""Says for each Django room whether its models have changes without a migration (`--check`), or writes them."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.rooms import configure, django_rooms


def main() -> int:
    """Look at each room in a process of its own: one process cannot hold two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a migration is missing")
    parser.add_argument("--room", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    options = ["--check"] if arguments.check else []
    if arguments.room:
        return _look(arguments.room, [*options, "--dry-run"] if arguments.check else options)
    codes = []
    for room in django_rooms():
        print(f"{room}: ", end="", flush=True)
        command = [sys.executable, __file__, "--room", room, *options]
        codes.append(subprocess.run(command, check=False).returncode)
    return int(any(codes))


def _look(room: str, options: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        configure(room, Path(folder))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("makemigrations", *options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
