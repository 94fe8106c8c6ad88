"""`ipis rules check`: everything that is wrong with a definition folder's rules, each with file, line and column.

What cannot be read is told first and left out, so that the rest is looked at as well: wording in all languages, rules
that say the same, rules that can never find anything, and the worked examples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipis.kernel.collection import Collection, load_any
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.errors import LANGUAGES, DefinitionRefused, Word
from ipis.validation import rulebook
from ipis.validation.author import leftout, whole, worked
from ipis.validation.author.definition import with_rules
from ipis.validation.author.firing import can_fire
from ipis.validation.catalogue import Kind, Rule
from ipis.validation.findings import placeholders
from ipis.validation.position import Place
from ipis.validation.terms import Operation, Term

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipis.validation.rulebook import CompiledRule, Rulebook

LAYOUT = "layout.toml"
_MOST = 1000
_SENTENCE = re.compile(r"[A-ZÆØÅ0-9{«“\"].*[.!?»”]", re.DOTALL)
_OF_LANGUAGE = re.compile(rf"_(?:{'|'.join(LANGUAGES)})$")
_FOLLOWS = frozenset({"rules.field", "rules.family"})
"""What a reference to a left-out column is refused with."""
_OF_A_FIELD = "rules.unknown"
"""A fault of a field and no derived column: without its `rules`, others would follow from it."""
_SWAPPED = {">": "<", ">=": "<="}


def problems(folder: DefinitionFolder) -> list[DefinitionRefused]:
    """List what is wrong, in order of file and line; nothing when all is well."""
    found, collection, changed = _read(folder)
    if collection is not None:
        book = rulebook.of(collection)
        # What was changed so that the rest could be read says nothing of what its author wrote.
        sound = book.only(book.rules.keys() - changed)
        found += [*_wording(book), *_overlaps(sound), *_dead(sound), *_examples(collection, sound)]
    return sorted(found, key=_order)


def _order(problem: DefinitionRefused) -> tuple[str, int, int, str]:
    line, column = (problem.params.get(key, 1) for key in ("line", "column"))
    return str(problem.params.get("file", "")), int(str(line)), int(str(column)), problem.code


def _problem(code: str, place: Place, **params: object) -> DefinitionRefused:
    return DefinitionRefused(code, rule=None, file=place.file, line=place.line, column=place.column, **params)


def _read(folder: DefinitionFolder) -> tuple[list[DefinitionRefused], Collection | None, frozenset[str]]:
    """Read the folder again and again, each time without what was refused; None where too little is left.

    Gives also the names of the rules and columns that are not as their author wrote them.
    """
    found = list(whole.gaps(folder)) if whole.is_to_collect_by(folder) else []
    load = whole.load_whole if whole.is_to_collect_by(folder) and not found else load_any
    members, gone = dict(folder), frozenset[str]()
    while len(found) < _MOST:
        try:
            collection = load(DefinitionFolder.from_members(members, folder.origin))
            if not rulebook.of(collection).rules and not found:
                with_rules(collection)
        except DefinitionRefused as error:
            if error.code == _OF_A_FIELD and members.keys() < folder.keys():
                return found, None, gone  # its rule may stand in the file that could not be read
            if error.code not in _FOLLOWS or error.params.get("field", error.params.get("family")) not in gone:
                found.append(error)
            left = _without(members, error)
            if left is None:
                return found, None, gone
            members, name = left
            gone |= {name}
        else:
            return found, collection, gone
    return found, None, gone


def _without(members: dict[str, bytes], error: DefinitionRefused) -> tuple[dict[str, bytes], str] | None:
    """Leave out the rule or derived column that an error stands in; gives its name too, None where there is none."""
    file, line = str(error.params.get("file", "")), error.params.get("line")
    of_rules = file == LAYOUT or file.startswith("rules/")
    if not of_rules or file not in members or not isinstance(line, int) or error.code == _OF_A_FIELD:
        return None
    if file != LAYOUT and error.code in {"rules.yaml", "rules.file"}:
        return {name: data for name, data in members.items() if name != file}, ""
    text = members[file].decode("utf-8")
    if file == LAYOUT:
        block = leftout.column_at(text, line)
        if block is None:
            return None
        return members | {file: leftout.without(text, block).encode()}, block.name
    block = leftout.rule_at(text, line)
    if block is None:
        return {name: data for name, data in members.items() if name != file}, ""
    twice = error.code == "rules.twice" or not block.name
    mended = None if twice else leftout.mended(text, line)
    if mended is not None:
        return members | {file: mended.encode()}, block.name
    left = leftout.without(text, block) if twice else leftout.with_entry_only(text, block)
    if left == text or left.splitlines() == text.splitlines():
        left = leftout.without(text, block)
    if not left.strip():
        return {name: data for name, data in members.items() if name != file}, ""
    return members | {file: left.encode()}, ""


def _wording(book: Rulebook) -> Iterator[DefinitionRefused]:
    """Look at the messages: whole sentences, the same placeholders in each language, none merely copied."""
    for rule in _written(book):
        place = rule.places.get("message", rule.place)
        named = {key: _named(rule, key) for key in rule.message}
        everywhere = frozenset[str]().union(*named.values())
        for key, text in rule.message.items():
            for part in ("found", "expected", "do"):
                sentence = getattr(text, part)
                if not _SENTENCE.fullmatch(sentence) or "  " in sentence:
                    yield _problem("rulecheck.sentence", place, number=rule.id, language=key, part=part)
            for name in sorted(everywhere - named[key]):
                yield _problem("rulecheck.placeholder", place, number=rule.id, language=key, name=name)
        if rule.message["en"] in {rule.message["nb"], rule.message["nn"]}:
            yield _problem("rulecheck.untranslated", place, number=rule.id)


def _named(rule: Rule, language: str) -> frozenset[str]:
    """Give what a text names; a label is a label in whichever language it is taken."""
    text = rule.message[language]
    named = frozenset[str]().union(*(placeholders(part) for part in (text.found, text.expected, text.do)))
    return frozenset(_OF_LANGUAGE.sub("", name) for name in named)


def _written(book: Rulebook) -> Iterator[Rule]:
    """Go through the rules that stand in rule files, those left out for another fault aside."""
    for rule in book.rules.values():
        if rule.place.file != LAYOUT and rule.record != "-":
            yield rule


def _overlaps(book: Rulebook) -> Iterator[DefinitionRefused]:
    """Find conditions that stand twice, however their words are turned."""
    seen: dict[tuple[object, ...], CompiledRule] = {}
    for made in book.compiled:
        where = frozenset(_parts(made.where)) if made.where is not None else frozenset[object]()
        same = (made.rule.over, made.field, where, frozenset(_parts(made.require)))
        other = seen.setdefault(same, made)
        if other is not made:
            yield _problem("rulecheck.overlap", _place(made), number=made.rule.id, other=other.rule.id)


def _parts(term: Term) -> Iterable[object]:
    """Give the parts of a conjunction, each in one form, whatever the order in which they were written."""
    if isinstance(term, Operation) and term.name == "and":
        return [part for operand in term.operands for part in _parts(operand)]
    return [_form(term)]


def _form(term: Term) -> object:
    if not isinstance(term, Operation):
        return term
    if term.name in {"and", "or"}:
        return term.name, frozenset(_form(part) for part in term.operands)
    if term.name in _SWAPPED:
        return _SWAPPED[term.name], tuple(_form(part) for part in reversed(term.operands))
    if term.name in {"=", "<>", "in"}:
        return term.name, frozenset(_form(part) for part in term.operands)
    return term.name, tuple(_form(part) for part in term.operands)


def _dead(book: Rulebook) -> Iterator[DefinitionRefused]:
    """Find rules that can never find anything, and rules that no party runs."""
    for made in book.compiled:
        if not can_fire(made.where, made.require):
            yield _problem("rulecheck.never", _place(made), number=made.rule.id)
    for rule in _written(book):
        if rule.kind is Kind.EXPRESSION and not rule.runs_at & {"M", "S"}:
            yield _problem("rulecheck.nowhere", rule.places.get("runs_at", rule.place), number=rule.id)


def _place(made: CompiledRule) -> Place:
    checks = [check for check in made.rule.checks if check.field == made.field]
    return next((check.places["require"] for check in checks if "require" in check.places), made.rule.place)


def _examples(collection: Collection, book: Rulebook) -> Iterator[DefinitionRefused]:
    """Run the worked examples, all together: each comes to what it says."""
    for each, found in worked.verdicts(collection, _written(book)):
        if found != each.expected:
            place = each.rule.places.get("examples", each.rule.place)
            said = {"kind": each.expected, "which": each.which, "wanted": Word(each.expected), "verdict": Word(found)}
            yield _problem("rulecheck.example", place, number=each.rule.id, **said)
