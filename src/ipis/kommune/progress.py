"""How far a verb has come: a bar on a terminal, and nothing at all where stderr is read by a program."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn


def bars(*columns: ProgressColumn, quiet: bool = False) -> Progress:
    """Make the bars, each with its name and these columns; `quiet` where the answer is for a program."""
    console = Console(stderr=True)
    told = (TextColumn("{task.description}"), BarColumn(), *columns)
    return Progress(*told, console=console, transient=True, disable=quiet or not console.is_terminal)
