"""Writes, per collection year, the catalogue of rules: what each says, where it runs, what it does, its examples.

For municipal staff, whom the feedback sends here (one anchor a rule), and for rule authors; hence in bokmål.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ipis.kernel.collection import Collection, packaged, packaged_years
from ipis.kernel.layout import Field, RecordType
from ipis.validation import rulebook
from ipis.validation.author.unfilled import unfilled
from ipis.validation.catalogue import Effect, Kind, Level, Rule

REGISTER = "iplos"
FOLDER = "docs/generated"

LEVELS = {
    Level.KRITISK: "kritisk – uttrekket kan ikke tas imot",
    Level.FEIL: "feil – rett opp og send på nytt",
    Level.ADVARSEL: "advarsel – trolig feil, se etter",
    Level.INFO: "info – til orientering",
}
EFFECTS = {
    Effect.BEHOLD: "posten teller med som den er",
    Effect.NULLSTILL_FELT: "feltet regnes som ikke oppgitt",
    Effect.HOLD_UTENFOR: "posten holdes utenfor tallene, med alt som hører til den",
    Effect.AVVIS_FORSENDELSE: "hele forsendelsen avvises",
}
PARTIES = {"M": "kommunen (`check`, `seal`)", "T": "TPF", "S": "Statistisk sentralbyrå"}
SCOPES = {"row": "én post", "delivery": "hele leveransen", "register": "registeret: svaret endres når andre leverer"}
EXAMPLES = {"passes": "går gjennom", "breaks": "gir funn", "not_assessed": "kan ikke vurderes"}
FAULTS = {
    "mandatory": "mangler",
    "form": "har ikke formen",
    "code": "står ikke i kodelisten",
    "range": "er utenfor grensene",
}

OPENING = """# Regler for {name}

Laget av `make generate` fra `src/ipis/definitions/{register}/{year}/`; ikke rediger her.
Språket i betingelsene: [rules.md](../spec/rules.md).

En post får funn når *gjelder for* er sant og *krever* ikke er det.
Mangler noe som regelen trenger, er posten «ikke vurdert», med grunn.
I teksten står «…» for det som posten eller leveransen viser.
I eksemplene er `{{year}}` telleåret og `{{next}}` året etter; det som ikke står, er tomt.

{count} regler: {levels}.

| regel | nivå | post | hva som er funnet |
|---|---|---|---|"""


def generate() -> dict[str, str]:
    """Give the catalogue of each year in the package."""
    years = [packaged(REGISTER, year) for year in packaged_years(REGISTER)]
    return {f"{FOLDER}/rules-{each.register}-{each.year}.md": _page(each) for each in years}


def _page(collection: Collection) -> str:
    rules = rulebook.of(collection).rules
    levels = Counter(rule.level for rule in rules.values())
    opening = OPENING.format(
        name=collection.name["nb"],
        register=collection.register,
        year=collection.year,
        count=len(rules),
        levels=", ".join(f"{levels[level]} {level}" for level in reversed(Level)),
    )
    lines = [opening, *(_row(rule, collection) for rule in rules.values())]
    for rule in rules.values():
        lines += ["", *_entry(rule, collection)]
    return "\n".join(lines) + "\n"


def _row(rule: Rule, collection: Collection) -> str:
    found = _cell(unfilled(rule.message["nb"].found, rule, collection, "nb"))
    return f"| [{rule.id}](#{rule.id}) | {rule.level} | {rule.record or 'alle'} | {found} |"


def _parts(rule: Rule) -> tuple[str, str, str]:
    text = rule.message["nb"]
    return text.found, text.expected, text.do


def _entry(rule: Rule, collection: Collection) -> Iterator[str]:
    """Give one rule's part of the page, under an anchor of its own."""
    found, expected, do = (unfilled(part, rule, collection, "nb") for part in _parts(rule))
    yield f'<a id="{rule.id}"></a>'
    yield ""
    yield f"## {rule.id}"
    yield ""
    yield f"**{found}**"
    yield ""
    yield f"Forventet: {expected}"
    yield ""
    yield f"Gjør nå: {do}"
    yield ""
    yield f"* Nivå: {LEVELS[rule.level]}. Virkning: {EFFECTS[rule.effect]}."
    where = "; ".join(PARTIES[party] for party in "MTS" if party in rule.runs_at)
    staff = "" if rule.audience == "kommune" else " Bare for ansatte i SSB."
    yield f"* Kjøres hos: {where}. Ser på: {SCOPES[rule.scope]}.{staff}"
    if rule.problem.name != rule.id:
        yield f"* Funn av samme årsak samles som `{rule.problem.name}`."
    if rule.indicators:
        yield f"* Rører ved: {', '.join(rule.indicators)}."
    yield from _condition(rule, collection)
    yield from _examples(rule)


def _condition(rule: Rule, collection: Collection) -> Iterator[str]:
    if rule.kind is Kind.EXPRESSION:
        for check in rule.checks:
            point = f"`{rule.record}.{check.field}`" if check.field else f"`{rule.record}`"
            over = "" if rule.over == rule.record else f" (over `{rule.over}`)"
            applies = f" gjelder for `{_code(check.where)}`," if check.where else ""
            yield f"* {point}{over}:{applies} krever `{_code(check.require)}`"
    elif rule.kind is Kind.LAYOUT:
        places = [(record, field, faults) for record, field, faults in _named(collection) if rule.id in faults.values()]
        for record, field, faults in places:
            wrong = " eller ".join(FAULTS[fault] for fault, name in faults.items() if name == rule.id)
            yield f"* `{record.name}.{field.name}` {wrong}"
    elif rule.kind is Kind.IDENTITY:
        yield "* Leses av årsakskoden for personnummeret ([pseudonym.md](../spec/pseudonym.md) §2)."
    else:
        yield "* Betingelsen står i koden hos den som kjører regelen."


def _named(collection: Collection) -> Iterator[tuple[RecordType, Field, Mapping[str, str]]]:
    for record, field in collection.layout.every_field():
        yield record, field, field.rules


def _examples(rule: Rule) -> Iterator[str]:
    for kind, drawn in rule.examples.items():
        for example in drawn:
            yield f"* {EXAMPLES[kind]}: `{_example(example)}`"


def _example(example: Mapping[str, Any]) -> str:
    return json.dumps(_plain(example), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Take an example out of the classes of the YAML reader."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _code(expression: str) -> str:
    return " ".join(expression.split())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
