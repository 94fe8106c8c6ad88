"""Rule files with single rules left out, line by line, so that what remains stands where its author wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_ITEM = re.compile(r"^( *)-(?: |$)")
_ID = re.compile(r"\bid:\s*[\"']?([A-Z][0-9]{3})\b")
_NAME = re.compile(r"^\s*([A-Za-z][A-Za-z0-9_]*)\s*=")
_HEADING = re.compile(r"^\s*\[+([^\]]*)\]")
_KEY = re.compile(r"^(?P<before> *(?:- )?)(?P<key>where|require|level|effect): +\S")
_HARMLESS = {"where": "true", "require": "true", "level": "feil", "effect": "behold"}
_OPEN, _CLOSE = "[{", "]}"
_SAID = "{found: '-', expected: '-', do: '-'}"


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a file, the first included and the last not, counted from 0; `name` is the rule or column there."""

    first: int
    last: int
    name: str


def rule_at(text: str, line: int) -> Block | None:
    """Find the rule that a line (from 1) of a rule file belongs to."""
    return next((block for block in rules_of(text) if block.first < line <= block.last), None)


def rules_of(text: str) -> list[Block]:
    """List the rules of a file, which is a YAML list written with one dash a rule."""
    lines = text.splitlines()
    dashes = [(place, found[1]) for place, line in enumerate(lines) if (found := _ITEM.match(line))]
    starts = [place for place, indent in dashes if indent == dashes[0][1]]
    blocks = []
    for first, last in pairwise([*starts, len(lines)]):
        found = _ID.search("\n".join(lines[first:last]))
        blocks.append(Block(first, last, found[1] if found else ""))
    return blocks


def column_at(text: str, line: int) -> Block | None:
    """Find the derived column that begins on a line (from 1) of a layout, with all lines of its value."""
    lines = text.splitlines()
    if not 0 < line <= len(lines) or (found := _NAME.match(lines[line - 1])) is None:
        return None
    headings = [heading[1] for each in lines[:line] if (heading := _HEADING.match(each))]
    if "derived" not in "".join(headings[-1:]):
        return None
    depth, last = 0, line - 1
    while last < len(lines):
        depth += sum(lines[last].count(mark) for mark in _OPEN) - sum(lines[last].count(mark) for mark in _CLOSE)
        last += 1
        if depth <= 0:
            break
    return Block(line - 1, last, found[1])


def without(text: str, block: Block) -> str:
    """Give the text with the lines of a block empty."""
    return _with(text, block, "")


def mended(text: str, line: int) -> str | None:
    """Give the text with a value that can be read on a line (from 1) of a rule; None where the line is not just that.

    So that what else is wrong with the rule is found as well; its conditions are then not its author's.
    """
    lines = text.splitlines()
    found = _KEY.match(lines[line - 1])
    if found is None:
        return None
    after = lines[line] if line < len(lines) else ""
    goes_on = after.strip() and len(after) - len(after.lstrip()) > len(found["before"])
    written = f"{found['before']}{found['key']}: {_HARMLESS[found['key']]}"
    if goes_on or lines[line - 1].rstrip() == written:
        return None
    lines[line - 1] = written
    return "\n".join(lines) + "\n"


def with_entry_only(text: str, block: Block) -> str:
    """Give the text with a rule replaced by a bare entry of its number, which fields of the layout may name."""
    line = text.splitlines()[block.first]
    indent = line[: len(line) - len(line.lstrip())]
    entry = (
        f"{indent}- {{id: {block.name}, record: '-', level: feil, effect: behold, kind: code, "
        f"message: {{nb: {_SAID}, nn: {_SAID}, en: {_SAID}}}}}"
    )
    return _with(text, block, entry)


def _with(text: str, block: Block, first: str) -> str:
    lines = text.splitlines()
    lines[block.first : block.last] = [first, *[""] * (block.last - block.first - 1)]
    return "\n".join(lines) + "\n"
