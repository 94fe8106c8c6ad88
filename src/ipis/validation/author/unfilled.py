"""The message of a rule as a page about rules shows it: no record is at hand, so names stand for values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipis.validation.findings import placeholders

if TYPE_CHECKING:
    from ipis.kernel.collection import Collection
    from ipis.kernel.layout import Layout
    from ipis.validation.catalogue import Rule

_WORDS: Final = {
    "v": {"nb": "verdien", "nn": "verdien", "en": "the value"},
    "value": {"nb": "verdien", "nn": "verdien", "en": "the value"},
    "label": {"nb": "feltet", "nn": "feltet", "en": "the field"},
    "field": {"nb": "feltet", "nn": "feltet", "en": "the field"},
    "record": {"nb": "posten", "nn": "posten", "en": "the record"},
    "minimum": {"nb": "minste verdi", "nn": "minste verdi", "en": "the least value"},
    "maximum": {"nb": "største verdi", "nn": "største verdi", "en": "the greatest value"},
    "length": {"nb": "lengden", "nn": "lengda", "en": "the length"},
}


def unfilled(template: str, rule: Rule, collection: Collection, language: str) -> str:
    """Put the year in, and for each value the label of its field or a readable name in guillemets."""
    said = template.replace("{year}", str(collection.year))
    for name in placeholders(said):
        said = said.replace(f"{{{name}}}", f"«{_name(name, rule.record, collection.layout, language)}»")
    return said


def _name(name: str, record: str, layout: Layout, language: str) -> str:
    """Name a value: by its own label, by that of the field whose code a list explains, or by its name."""
    if name in _WORDS:
        return _WORDS[name][language]
    known = layout.records.get(record) or layout.header
    declared = known.derived.get(name)
    looked_up = declared.get("on") if isinstance(declared, dict) and "lookup" in declared else None
    for its in (known.fields.get(name), known.supplied.get(name), known.fields.get(str(looked_up))):
        if its is not None:
            return its.label[language]
    return name.replace("_", " ")
