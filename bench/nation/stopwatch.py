"""Where a process spends its time: functions of the rooms are wrapped in place, each counted less its inner ones.

Nothing of the rooms is copied or changed: what is measured is the function that runs in production.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Moment = tuple[float, float]


@dataclass(slots=True)
class Span:
    """What a stage took: seconds by the clock, seconds of processor time, calls."""

    wall: float = 0.0
    cpu: float = 0.0
    calls: int = 0


@dataclass
class Stopwatch:
    """Exclusive time by stage; the stage that is running is the last of a stack."""

    spans: dict[str, Span] = field(default_factory=lambda: defaultdict(Span))
    _stack: list[str] = field(default_factory=list)
    _since: Moment = (0.0, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs in the block as this stage, less what inner stages take."""
        self._turn()
        self._stack.append(name)
        self.spans[name].calls += 1
        try:
            yield
        finally:
            self._turn()
            self._stack.pop()

    def watch(self, places: Mapping[str, str]) -> None:
        """Wrap functions where they are used: `module:name` or `module:Class.method` -> stage."""
        for place, stage in places.items():
            module, _, path = place.partition(":")
            *owners, name = path.split(".")
            owner: Any = importlib.import_module(module)
            for each in owners:
                owner = getattr(owner, each)
            plain = vars(owner)[name]
            if isinstance(plain, classmethod):
                setattr(owner, name, classmethod(self._wrapped(plain.__func__, stage)))
            else:
                setattr(owner, name, self._wrapped(plain, stage))

    def _wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*arguments, **named)

        return call

    def _turn(self) -> None:
        """Give the running stage what has passed since the last turn."""
        now = moment()
        if self._stack:
            span = self.spans[self._stack[-1]]
            span.wall += now[0] - self._since[0]
            span.cpu += now[1] - self._since[1]
        self._since = now


@dataclass(slots=True)
class Report:
    """What a process of the bench tells of itself."""

    name: str
    wall: float
    cpu: float
    peak: dict[str, int]
    """Peak of resident memory in bytes of this process and of its children that still run, by name."""
    stages: dict[str, Span]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write for whoever started this process."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Report:
        """Read what a process has told."""
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**told, "stages": {name: Span(**span) for name, span in told["stages"].items()}})


def moment() -> Moment:
    """Give the clock and the processor time of this process with its threads."""
    return time.perf_counter(), time.process_time()


def peaks(name: str) -> dict[str, int]:
    """Read VmHWM of this process and of its children: ru_maxrss would begin with that of whoever started it."""
    found = {name: _peak(os.getpid())}
    for number, child in enumerate(_children(os.getpid()), 1):
        found[f"{name}: child {number}"] = _peak(child)
    return found


def child_cpu() -> float:
    """Give the processor time of the children that still run."""
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = 0.0
    for child in _children(os.getpid()):
        fields = Path(f"/proc/{child}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / ticks
    return seconds


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text(encoding="ascii").split()]


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
