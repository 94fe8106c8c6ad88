"""Every `ipis …` command that a page shows can be typed: the verb and its options exist, and none that is needed lacks."""

import importlib
import re

import pytest
import typer
from tests.architecture.source import ROOT

from ipis.__main__ import ROOMS

PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
PAGES += sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
FENCE = re.compile(r"^\s*```.*?^\s*```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(ipis\s[^`]+)`")
LEFT_OUT = "…"
ONE_VERB = {"synth", "demo", "up", "clock", "validate"}
WHOLE = {"ipis.local.cli", "ipis.validation.author.cli"}


@pytest.fixture(scope="module")
def verbs():
    """Give every command by its words: `kommune send`, `up`."""
    found = {}
    for room, (module, _) in ROOMS.items():
        command = typer.main.get_command(importlib.import_module(module).app)
        for verb, one in getattr(command, "commands", {"": command}).items():
            name = verb if module in WHOLE else f"{room} {verb}".strip()
            found |= {f"{name} {word}".strip(): each for word, each in getattr(one, "commands", {"": one}).items()}
    return found


def shown(text):
    """Give the words of each command in fenced blocks and inline code; comments and placeholders are no words."""
    for block in FENCE.findall(text):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            if line.strip().startswith("ipis "):
                yield line.partition(" #")[0].split()[1:]
    for command in INLINE.findall(FENCE.sub("", text)):
        yield command.split()[1:]


def faults(text, verbs):
    """Say what cannot be typed: an unknown verb or option, or a command shown whole that lacks a required option."""
    for words in shown(text):
        if any(word.startswith("<") for word in words[:2]) or words[:1] == [LEFT_OUT]:
            continue
        depth = 1 if words[0] in ONE_VERB else 2
        if words[1:2] == [LEFT_OUT] and depth > 1 and words[0] in ROOMS:
            continue
        name, rest = " ".join(words[:depth]), words[depth:]
        if name not in verbs:
            yield f"{name}: no such verb"
            continue
        options = {word.partition("=")[0] for word in rest if word.startswith("--")}
        known = {option for parameter in verbs[name].params for option in parameter.opts} | {"--help"}
        yield from (f"{name}: no option {option}" for option in sorted(options - known))
        if options - {"--help"} and LEFT_OUT not in rest:
            needed = {p.opts[0] for p in verbs[name].params if p.required and p.param_type_name == "option"}
            yield from (f"{name}: lacks {option}" for option in sorted(needed - options))
        yield from (f"{name}: {word!r} belongs to no option" for word in _strays(rest, verbs[name]))


def _strays(words, command):
    """Give what stands after an option's value where the command takes no argument, as in `--keys a b`."""
    if any(p.param_type_name == "argument" for p in command.params) or LEFT_OUT in words:
        return
    flags = {option for p in command.params if getattr(p, "is_flag", False) for option in p.opts}
    before = ""
    for word in words:
        if not word.startswith("--") and (not before.startswith("--") or before in flags):
            yield word
        before = word


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_typed(page, verbs):
    assert list(faults((ROOT / page).read_text(encoding="utf-8"), verbs)) == []


def test_commands_that_cannot_be_typed_are_found(verbs):
    text = """`ipis ssb sign` `ipis tpf init --setting x` `ipis kommune …` `ipis demo --keep a b` `ipis tpf enrol … --nothing`

    ```sh
    ipis kommune pack --url https://… \\
        --collection iplos --year 2017   # --out
    ```
    """
    assert sorted(faults(text, verbs)) == [
        "demo: 'b' belongs to no option",
        "kommune pack: lacks --out",
        "ssb sign: no such verb",
        "tpf enrol: no option --nothing",
        "tpf init: lacks --settings",
        "tpf init: no option --setting",
    ]
