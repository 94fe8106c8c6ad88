"""Read the rule records of a definition folder (`rules/*.yaml`) and refuse, with position, what is not a rule.

The catalogue holds every rule of the year: those with an expression, those that follow from the layout, the number
rules, and those that are code elsewhere and have only their entry here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ipis.kernel.errors import LANGUAGES, Rendered, Word
from ipis.validation.position import Place, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Level(StrEnum):
    """How much a finding weighs; the order is the order of weight."""

    INFO = "info"
    """Worth knowing, nothing to do."""
    ADVARSEL = "advarsel"
    """Probably wrong: look at it."""
    FEIL = "feil"
    """Wrong: correct it and send again."""
    KRITISK = "kritisk"
    """The extract cannot be accepted."""


class Effect(StrEnum):
    """What a finding does to the figures."""

    BEHOLD = "behold"
    """The record counts as it stands."""
    NULLSTILL_FELT = "nullstill_felt"
    """The field counts as not given."""
    HOLD_UTENFOR = "hold_utenfor"
    """The record, and what hangs on a person's record, is left out."""
    AVVIS_FORSENDELSE = "avvis_forsendelse"
    """The whole forsendelse is refused."""


class Kind(StrEnum):
    """Where a rule's condition stands."""

    EXPRESSION = "expression"
    """In the record itself."""
    LAYOUT = "layout"
    """In the layout: mandatory, code list, form, range."""
    IDENTITY = "identity"
    """In the reason code that judging the identity number gave."""
    CODE = "code"
    """In code of the kernel or of a room; the record is its entry in the catalogue."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a rule, and the one field that a finding of it points at."""

    field: str
    where: str
    require: str
    places: Mapping[str, Place]


@dataclass(frozen=True, slots=True)
class Problem:
    """What makes findings one problem: a word, and the same row, brukerNr (`bruker`) or value of the field."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one year; it runs over `over`, and its findings point at `record` and a check's field."""

    id: str
    record: str
    over: str
    checks: tuple[Check, ...]
    level: Level
    effect: Effect
    kind: Kind
    audience: str
    runs_at: frozenset[str]
    scope: str
    shows: tuple[str, ...]
    indicators: tuple[str, ...]
    problem: Problem
    message: Mapping[str, Rendered]
    examples: Mapping[str, tuple[Mapping[str, Any], ...]]
    place: Place
    places: Mapping[str, Place] = field(default_factory=dict)


_Choice = TypeVar("_Choice", bound=StrEnum)

_REQUIRED = ("id", "record", "level", "effect", "message")
_OPTIONAL = (
    "over", "field", "checks", "kind", "audience", "runs_at", "scope", "where", "require", "shows", "indicators",
    "years", "examples", "problem",
)  # fmt: skip
_FILE = re.compile(r"rules/[^/]+\.yaml")
_EXAMPLES = ("passes", "breaks", "not_assessed")
_YEARS = re.compile(r"all|(?P<first>[0-9]{4})(?P<on>\+)?|-(?P<last>[0-9]{4})")


def load(files: Mapping[str, bytes], year: int) -> dict[str, Rule]:
    """Read every `rules/*.yaml` of a definition folder; give the rules of the year by id, in order of id.

    Whatever else lies in `rules/` is refused: it looks like rules, and would silently not be run.
    """
    rules: dict[str, Rule] = {}
    for name in sorted(name for name in files if name.startswith("rules/")):
        if not _FILE.fullmatch(name):
            refuse("rules.file", Place(name, 1, 1), better=f"rules/{PurePosixPath(name).stem}.yaml")
        for record, place in _records(name, files[name]):
            rule = _rule(record, place, year)
            if rule is None:
                continue
            if rule.id in rules:
                refuse("rules.twice", place, number=rule.id)
            rules[rule.id] = rule
    return dict(sorted(rules.items()))


def read_list(name: str, content: bytes, code: str = "rules.yaml") -> tuple[CommentedSeq, str]:
    """Read a file that is a list; gives its text too, and refuses one that is none with the code asked for."""
    try:
        text = content.decode("utf-8")
        tree = YAML(typ="rt").load(text)
    except UnicodeDecodeError:
        refuse(code, Place(name, 1, 1), detail=Word("not UTF-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(name, mark.line + 1, mark.column + 1) if mark else Place(name, 1, 1)
        refuse(code, place, detail=Word("doubled key" if "duplicate key" in str(error.problem) else "not YAML"))
    except (YAMLError, TypeError, ValueError, RecursionError):
        # Besides its own errors the reader raises Python's: a list as a key, a number that is none, a deep nest.
        refuse(code, Place(name, 1, 1), detail=Word("not YAML"))
    if not isinstance(tree, CommentedSeq):
        refuse(code, Place(name, 1, 1), detail=Word("no list"))
    return tree, text


def _records(name: str, content: bytes) -> Iterable[tuple[CommentedMap, Place]]:
    tree, text = read_list(name, content)
    for index, record in enumerate(tree):
        line, column = tree.lc.item(index)
        place = Place(name, line + 1, column + 1, text)
        if not isinstance(record, CommentedMap):
            refuse("rules.yaml", Place(name, line + 1, column + 1), detail=Word("no mapping"))
        yield record, place


def _rule(record: CommentedMap, start: Place, year: int) -> Rule | None:
    places = {str(key): _place(record, key, start) for key in record}
    here = Place(start.file, start.line, start.column)
    for key in record:
        if key not in (*_REQUIRED, *_OPTIONAL):
            refuse("rules.key", places[str(key)], key=key)
    for key in _REQUIRED:
        if key not in record:
            refuse("rules.missing", here, key=key)
    if not _valid_in(record.get("years", "all"), year, places.get("years", here)):
        return None
    kind = _choice(Kind, record.get("kind", "expression"), places.get("kind", here))
    if (kind is Kind.EXPRESSION) != ("require" in record or "checks" in record):
        refuse("rules.missing", here, key="require")
    examples = _examples(record, places, here)
    if kind in {Kind.EXPRESSION, Kind.LAYOUT} and not {"passes", "breaks"} <= examples.keys():
        refuse("rules.examples", here, number=record["id"])
    return Rule(
        id=_matching(r"[A-Z][0-9]{3}", record["id"], places["id"]),
        record=str(record["record"]),
        over=str(record.get("over", record["record"])),
        checks=_checks(record, places, start),
        level=_choice(Level, record["level"], places["level"]),
        effect=_choice(Effect, record["effect"], places["effect"]),
        kind=kind,
        audience=_matching("kommune|ssb", record.get("audience", "kommune"), places.get("audience", here)),
        runs_at=frozenset(
            _matching("[MTS]( [MTS])*", record.get("runs_at", "M S"), places.get("runs_at", here)).split()
        ),
        scope=_matching("row|delivery|register", record.get("scope", "row"), places.get("scope", here)),
        shows=_names(record.get("shows", []), places.get("shows", here)),
        indicators=_names(record.get("indicators", []), places.get("indicators", here)),
        problem=_problem(record, places.get("problem", here)),
        message=_message(record, places["message"]),
        examples=examples,
        place=here,
        places=places,
    )


def _checks(record: CommentedMap, places: Mapping[str, Place], start: Place) -> tuple[Check, ...]:
    """Read the rule's one condition, or its list of them; a rule without an expression has its field alone."""
    if "checks" not in record:
        name, where, require = (_written(record.get(key)) for key in ("field", "where", "require"))
        return (Check(name, where, require, places),)
    listed = record["checks"]
    if not isinstance(listed, CommentedSeq) or {"field", "where", "require"} & set(record):
        refuse("rules.value", places["checks"], allowed="[{field, where, require}]")
    made = []
    for item in listed:
        if not isinstance(item, CommentedMap) or not {"field", "require"} <= set(item) <= {"field", "where", "require"}:
            refuse("rules.value", places["checks"], allowed="[{field, where, require}]")
        own = {str(key): _place(item, key, start) for key in item}
        made.append(Check(str(item["field"]), _written(item.get("where")), _written(item["require"]), own))
    return tuple(made)


def _written(value: object) -> str:
    """Give an expression as its author wrote it; YAML takes a bare `false` for a truth value of its own."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _place(record: CommentedMap, key: object, start: Place) -> Place:
    line, column = record.lc.value(key)
    text, value = start.source, record[key]
    lines = text.splitlines(keepends=True)
    source = "".join(lines[line:])[column:] if isinstance(value, str) else ""
    return Place(start.file, line + 1, column + 1, source, str(value) if isinstance(value, str) else "")


def _matching(pattern: str, value: object, place: Place) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        refuse("rules.value", place, allowed=pattern)
    return value


def _choice(kind: type[_Choice], value: object, place: Place) -> _Choice:
    try:
        return kind(str(value))
    except ValueError:
        refuse("rules.value", place, allowed=", ".join(kind))


def _valid_in(years: object, year: int, place: Place) -> bool:
    match = _YEARS.fullmatch(str(years))
    if match is None:
        refuse("rules.value", place, allowed="all, YYYY, YYYY+, -YYYY")
    first, last = match["first"], match["last"]
    if first:
        return year >= int(first) if match["on"] else year == int(first)
    return year <= int(last) if last else True


def _names(value: object, place: Place) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        refuse("rules.value", place, allowed="[…, …]")
    return tuple(map(str, value))


def _problem(record: CommentedMap, place: Place) -> Problem:
    """Read what makes findings one problem: the rule itself, row by row, unless it says otherwise."""
    written = record.get("problem", {"name": str(record["id"]), "by": "row"})
    if not isinstance(written, dict) or set(written) != {"name", "by"}:
        refuse("rules.value", place, allowed="{name, by}")
    name = _matching("[A-Za-z][A-Za-z0-9_]*", written["name"], place)
    return Problem(name, _matching("row|bruker|value", written["by"], place))


def _message(record: CommentedMap, place: Place) -> dict[str, Rendered]:
    message = record["message"]
    result = {}
    for language in LANGUAGES:
        text = message.get(language) if isinstance(message, CommentedMap) else None
        if not isinstance(text, CommentedMap) or set(text) != {"found", "expected", "do"}:
            refuse("rules.message", place, number=record["id"], language=language)
        result[language] = Rendered(*(str(text[part]) for part in ("found", "expected", "do")))
    return result


def _examples(
    record: CommentedMap, places: Mapping[str, Place], here: Place
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    examples = record.get("examples", {})
    if not isinstance(examples, dict) or not set(examples) <= set(_EXAMPLES):
        refuse("rules.value", places.get("examples", here), allowed=", ".join(_EXAMPLES))
    for value in examples.values():
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            refuse("rules.value", places.get("examples", here), allowed="[{field: value, …}, …]")
    return {str(key): tuple(value) for key, value in examples.items()}
