"""A rule author's workshop: a register of boats and journeys that knows no person, no header and no municipality."""

import json

from tests.validation import desk
from tests.validation.layout_toml import field, record, section, supplied

from ipis import __main__ as program

_FORM = {"form": "L001"}
LAYOUT = "\n".join([
    'format = "1.0"',
    record("baat", key_fields=["kjenning"], id_field="kjenning"),
    field("baat", "kjenning", "id", required=True, rules={"mandatory": "L001"}),
    field("baat", "lengde", "dec", length=6, scale=2, rules=_FORM),
    supplied("baat", alder="int16"),
    record("Tur", key_fields=["kjenning", "nr"]),
    field("Tur", "kjenning", "id"),
    field("Tur", "nr", "int", length=4, rules=_FORM),
    field("Tur", "ut", "date", length=10, rules=_FORM),
    field("Tur", "slag", "code", length=1, codes="slag", rules={"code": "L001"}),
    section("Tur.derived", finnes={"exists": "baat", "on": "kjenning"}),
    section("rules.L001", level="feil", effect="behold", message={
        "nb": "Feil i {label}. Ventet. Rett.", "nn": "Feil i {label}. Venta. Rett.", "en": "Fault in {label}. Expected. Do.",
    }),
])  # fmt: skip
RULES = (
    desk.rule("lengde > 3", "lengde is not null", number="K001", record="baat", more="field: lengde\nshows: [alder]")
    + desk.rule("finnes", number="K002", record="Tur", more="field: kjenning")
    + desk.rule("alder < 100", number="K003", record="baat")
)
CODES = "code,label_nb\nF,fisk\nL,last\n"


def definition(folder, rules=RULES, layout=LAYOUT, **codes):
    """Write a definition folder without a collection.toml."""
    for name, text in {"layout.toml": layout, "rules/a.yaml": rules, "codes/slag.csv": CODES, **codes}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def data(folder, **tables):
    """Write a folder of CSV tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


BOATS = "kjenning;lengde;alder\nA1;12.5;3\nB2;2.5;200\nC3;lang;\n"
JOURNEYS = "kjenning;nr;ut;slag\nA1;1;2020-05-01;F\nX9;1;2020-05-32;F\nB2;2;2020-01-01;Q\n"


def ipis(*arguments):
    """Run the program as typed; gives its exit code."""
    return program.run([str(argument) for argument in arguments])


def answer(capsys, *arguments):
    """Run a command with --json; gives the exit code and what it wrote."""
    code = ipis(*arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


def refusal(capsys, *arguments):
    """Run a command that is refused; gives the exit code and the error."""
    code = ipis(*arguments, "--json")
    return code, json.loads(capsys.readouterr().err)
