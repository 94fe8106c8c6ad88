"""`ipis demo`: one municipality's extract through all four parties and back; each step verified, printed, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ipis.kernel.errors import IpisError, OurFault
from ipis.local.parties import run_ipis
from ipis.local.season import Season, prepare
from ipis.local.steps import STEPS

if TYPE_CHECKING:
    from rich.console import Console

    from ipis.local.season import Municipality


@dataclass(frozen=True, slots=True)
class Step:
    """What one step gave: whether it held, how long it took, and the files it left."""

    name: str
    ok: bool
    seconds: float
    files: list[str]


@dataclass
class Demo:
    """One run, in a folder of its own."""

    folder: Path
    year: int
    kommune: str
    persons: int | None
    definitions: Path | None
    console: Console
    steps: list[Step] = field(default_factory=list)
    _season: Season | None = None

    @property
    def season(self) -> Season:
        """Give the running season."""
        if self._season is None:
            raise OurFault("local.not_started")
        return self._season

    @property
    def municipality(self) -> Municipality:
        """Give the municipality that the demo follows."""
        return self.season.municipalities[0]

    @property
    def work(self) -> Path:
        """Give the municipality's own folder."""
        return self.municipality.folder

    def prepare(self) -> None:
        """Lay out and start the parties."""
        self._season = prepare(self.folder, self.year, [self.kommune], None, self.definitions)
        self.season.start()

    def run(self) -> IpisError | None:
        """Run all steps, stopping at the first that fails; gives its error."""
        began = time.monotonic()
        try:
            for name, step in STEPS:
                self._run_step(name, step)
        except IpisError as error:
            return error
        finally:
            if self._season is not None:
                self._season.stop()
        self.console.print(f"\n[bold]{len(self.steps)} steps in {time.monotonic() - began:.1f} s[/bold]")
        return None

    def as_dict(self) -> dict[str, object]:
        """Give the run as `--json` prints it."""
        steps = [{"name": s.name, "ok": s.ok, "seconds": round(s.seconds, 3), "files": s.files} for s in self.steps]
        return {"ok": len(self.steps) == len(STEPS) and all(s.ok for s in self.steps), "steps": steps}

    def ipis(self, *arguments: object, accept: tuple[int, ...] = (0,)) -> str:
        """Run a command as the municipality would, in a cleaned environment; gives what it printed."""
        return run_ipis([str(argument) for argument in arguments], accept, home=self.work).stdout

    def _run_step(self, name: str, step: StepFunction) -> None:
        began = time.monotonic()
        try:
            said, files = step(self)
        except IpisError:
            self._note(name, began, ok=False, said="", files=[])
            raise
        except (TimeoutError, OSError, ValueError, KeyError, AssertionError) as error:
            self._note(name, began, ok=False, said="", files=[])
            raise OurFault("local.step_failed", step=name, detail=f"{type(error).__name__}: {error}") from error
        self._note(name, began, ok=True, said=said, files=files)

    def _note(self, name: str, began: float, *, ok: bool, said: str, files: list[Path]) -> None:
        seconds = time.monotonic() - began
        self.steps.append(Step(name, ok, seconds, [str(path) for path in files]))
        mark = "[green]✓[/green]" if ok else "[red]✗[/red]"
        self.console.print(f"{mark} {seconds:6.2f} s  {name:<34} [dim]{said}[/dim]")


if TYPE_CHECKING:
    from collections.abc import Callable

    StepFunction = Callable[[Demo], tuple[str, list[Path]]]
