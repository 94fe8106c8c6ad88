"""Reading an extract into typed tables against a bare lxml iterparse that only reads the attributes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from bench.pairs import Result, best
from ipis.kernel.collection import packaged
from ipis.kernel.extract import read

PERSONS = 20_000
YEAR = 2017


def extracts() -> Iterator[Result]:
    """Read."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "ipis", "synth", "--collection", "iplos", "--year", str(YEAR)]
        command += ["--kommune", "0403", "--persons", str(PERSONS), "--faults", "0.05", "--seed", "1", "--out", scratch]
        subprocess.run(command, check=True, capture_output=True)
        path = next(Path(scratch).glob("*.xml"))
        layout = packaged("iplos", YEAR).layout
        ours, peer = best(lambda: read(path, layout), lambda: _bare(path))
        mib = path.stat().st_size / (1 << 20)
        note = f"{mib:.0f} MiB, {PERSONS} persons; ours bounds, types and keeps raw text"
        yield Result("extract read", "MiB/s", mib / ours, mib / peer, "lxml iterparse, attributes only", 0.6, note)


def _bare(path: Path) -> int:
    attributes = 0
    for _, element in etree.iterparse(str(path), events=("end",)):
        attributes += len(dict(element.attrib))
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return attributes
