"""Imports every module of one room while the other rooms are refused; run in a process of its own by test_import_wall.

Usage: import_room.py ROOM SCRATCH-FOLDER. import-linter reads import statements; this sees `importlib` too.
"""

import importlib
import importlib.abc
import pkgutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

ROOMS = ("kommune", "tpf", "ssb", "filsluse")
WITHOUT_DJANGO = ("kommune",)


class Wall(importlib.abc.MetaPathFinder):
    """Refuses to find what lies behind the wall."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused

    def find_spec(self, fullname, _path=None, _target=None):
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self.refused):
            raise ImportError(f"{fullname} lies behind the wall")


def main(room: str, scratch: Path) -> None:
    refused = [f"ipis.{other}" for other in ROOMS if other != room]
    if room in WITHOUT_DJANGO:
        refused += ["django", "ninja", "granian", "sqlite3", "psycopg"]
    sys.meta_path.insert(0, Wall(*refused))
    package = importlib.import_module(f"ipis.{room}")
    if (Path(package.__file__).parent / "site.py").exists():
        from tools.rooms import configure

        configure(room, scratch)
    count = 0
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        count += 1
    sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
