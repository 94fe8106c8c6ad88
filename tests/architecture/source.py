"""Reads the source of a tree: the repository's own, or a small one with a planted breach."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One file with its text and syntax tree."""

    path: Path
    root: Path

    @property
    def name(self):
        return self.path.relative_to(self.root).as_posix()

    @cached_property
    def text(self):
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self):
        return ast.parse(self.text, filename=self.name)

    def at(self, node):
        return f"{self.name}:{node.lineno}"


def sources(root: Path, *folders: str) -> Iterator[Source]:
    """Give every Python file under the folders; migrations are generated and exempt."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            if "migrations" not in path.parts and "__pycache__" not in path.parts:
                yield Source(path, root)


def dotted(node: ast.AST) -> str:
    """Give `a.b.c` for a chain of attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = dotted(node.value)
        return f"{front}.{node.attr}" if front else ""
    return ""


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write a small tree."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
