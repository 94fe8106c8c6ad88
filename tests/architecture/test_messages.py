"""Every error a person can meet has its text in three languages, and every text is some error's."""

import ast
import re
import string
import tomllib
from dataclasses import dataclass

import pytest
from tests.architecture.source import ROOT, dotted, plant, sources

CATALOGUE = "src/ipis/definitions/messages"
LANGUAGES = ("nb", "nn", "en")
PARTS = ("found", "expected", "do")
CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-zA-Z0-9_]+)+")


@dataclass(frozen=True)
class Use:
    """One place where an error is made: its code, or a pattern of codes, and the parameters if all are in sight."""

    at: str
    code: str
    params: frozenset | None


def texts(root):
    return {
        code: text
        for path in sorted((root / CATALOGUE).glob("*.toml"))
        for code, text in tomllib.loads(path.read_text(encoding="utf-8")).items()
    }


def uses(root):
    """Find the codes handed to an error class, or to a function that passes its parameter `code` on to one."""
    files = list(sources(root, "src"))
    makers = _error_classes(files)
    for source in files:
        # A relay serves its own file: elsewhere a function of the same name may mean another thing.
        relays = {function.name: _position(function) for function in _relays(source, makers)}
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            name = dotted(node.func).rpartition(".")[2]
            if name in makers or name in relays:
                code = _argument(node, relays.get(name, 0))
                for one in _codes(code) if code is not None else ():
                    whole = name in makers and "*" not in one
                    yield Use(source.at(node), one, _params(node) if whole else None)


def _error_classes(files):
    names = {"IpisError"}
    classes = [node for source in files for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    while True:
        more = {c.name for c in classes if {dotted(b).rpartition(".")[2] for b in c.bases} & names} - names
        if not more:
            return names
        names |= more


def _relays(source, makers):
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef) and _position(function) is not None:
            for node in ast.walk(function):
                made = isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in makers
                if made and node.args and dotted(node.args[0]) == "code":
                    yield function


def _position(function):
    names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
    return names.index("code") if "code" in names else None


def _argument(call, position):
    if position is not None and len(call.args) > position:
        return call.args[position]
    return next((keyword.value for keyword in call.keywords if keyword.arg == "code"), None)


def _codes(node):
    """Give every code an expression may stand for; a gap of an f-string matches anything."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from _codes(node.body)
        yield from _codes(node.orelse)


def _params(call):
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    return frozenset(keyword.arg for keyword in call.keywords) - {"rule", "code"}


def _placeholders(text):
    return {name.partition(".")[0] for _, name, _, _ in string.Formatter().parse(text) if name}


def _matching(code, known):
    pattern = re.compile(re.escape(code).replace(r"\*", ".+"))
    return {one for one in known if pattern.fullmatch(one)}


def errors_without_text(root):
    known = texts(root)
    for use in uses(root):
        codes = _matching(use.code, known)
        if not codes:
            yield f"{use.at}: {use.code}"
        for code in codes:
            asked = set().union(*(_placeholders(str(t)) for lang in known[code].values() for t in lang.values()))
            if use.params is not None and asked - use.params:
                yield f"{use.at}: {code} is not given {sorted(asked - use.params)}"


def texts_incomplete(root):
    for code, by_language in texts(root).items():
        if set(by_language) != set(LANGUAGES):
            yield f"{code}: {sorted(by_language)}"
            continue
        names = []
        for language in LANGUAGES:
            parts = by_language[language]
            if set(parts) != set(PARTS) or not all(parts[part].strip() for part in parts):
                yield f"{code}: {language} lacks a part"
            names.append(set().union(*(_placeholders(text) for text in parts.values())))
        if names[0] != names[1] or names[0] != names[2]:
            yield f"{code}: placeholders differ between languages"


def texts_in_the_wrong_file(root):
    for path in sorted((root / CATALOGUE).glob("*.toml")):
        for code in tomllib.loads(path.read_text(encoding="utf-8")):
            if not CODE.fullmatch(code) or code.partition(".")[0] != path.stem:
                yield f"{path.name}: {code}"


def texts_of_no_error(root):
    known = texts(root)
    named = {
        node.value
        for source in sources(root, "src")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    patterns = {use.code for use in uses(root) if "*" in use.code}
    patterned = set().union(*(_matching(pattern, known) for pattern in patterns)) if patterns else set()
    yield from sorted(set(known) - named - patterned)


CHECKS = [errors_without_text, texts_incomplete, texts_in_the_wrong_file, texts_of_no_error]


@pytest.mark.parametrize("check", CHECKS)
def test_the_catalogue_is_whole(check):
    assert list(check(ROOT)) == []


TREE = {
    "src/ipis/kernel/errors.py": "class IpisError(Exception): ...\nclass Refused(IpisError): ...\n",
    "src/ipis/kernel/extract.py": (
        "raise Refused('extract.known', line=3)\n"
        "raise Refused('extract.unknown')\n"
        "raise errors.Refused('extract.known')\n"
        "def refuse(code): raise Refused(code)\n"
        "refuse('extract.forgotten')\n"
        "raise Refused('extract.known', **more)\n"
        "raise Refused('extract.half' if x else 'extract.nowhere')\n"
    ),
    f"{CATALOGUE}/extract.toml": (
        '["extract.known"]\n'
        'nb = {found = "linje {line}", expected = "e", do = "d"}\n'
        'nn = {found = "linje {line}", expected = "e", do = "d"}\n'
        'en = {found = "line {line}", expected = "e", do = "d"}\n'
        '["extract.half"]\n'
        'nb = {found = "f {n}", expected = "e", do = "d"}\n'
        'nn = {found = "f", expected = "e", do = ""}\n'
        'en = {found = "f", expected = "e", do = "d"}\n'
        '["extract.orphan"]\n'
        'nb = {found = "f", expected = "e", do = "d"}\n'
        '["parcel.lost"]\n'
        'nb = {found = "f", expected = "e", do = "d"}\n'
        'nn = {found = "f", expected = "e", do = "d"}\n'
        'en = {found = "f", expected = "e", do = "d"}\n'
    ),
}
BREACHES = [
    (
        errors_without_text,
        [
            ":2: extract.unknown",
            ":3: extract.known is not given ['line']",
            ":5: extract.forgotten",
            ":7: extract.half is not given ['n']",
            ":7: extract.nowhere",
        ],
    ),
    (
        texts_incomplete,
        [
            "extract.half: nn lacks a part",
            "extract.half: placeholders differ between languages",
            "extract.orphan: ['nb']",
        ],
    ),
    (texts_in_the_wrong_file, ["extract.toml: parcel.lost"]),
    (texts_of_no_error, ["extract.orphan", "parcel.lost"]),
]


@pytest.mark.parametrize(("check", "expected"), BREACHES)
def test_a_gap_in_the_catalogue_is_found(check, expected, tmp_path):
    found = sorted(check(plant(tmp_path, TREE)))
    assert [line.removeprefix("src/ipis/kernel/extract.py") for line in found] == expected
