"""The feedback as one page that needs nothing beside it: no script, no address it loads from, printable.

The first screen answers what is wrong, how much, and what to do first; the rest stands below, and whole in the files.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from ipis.ssb.feedback import cells
from ipis.ssb.feedback.cards import SHOWN, cards
from ipis.ssb.feedback.figures import TABLES
from ipis.ssb.feedback.plots import plots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jinja2 import Template
    from markupsafe import Markup

    from ipis.ssb.feedback.contents import Contents
    from ipis.ssb.feedback.figures import Figures

STARTS = 6
"""Kinds of problems listed on the first screen; how many more there are is said."""
_COUNTS = ("problems", "findings", "persons", "new", "open", "answered", "fixed")


def render_page(contents: Contents, figures: Sequence[Figures]) -> bytes:
    """Write the page; `figures` are the control tables in words."""
    open_cards = cards(contents.unanswered, contents)
    answered = cards(contents.answered, contents, first=len(open_cards))
    fixed = cards(contents.fixed, contents, first=len(open_cards) + len(answered))
    starts = [card for card in open_cards if card.level in ("kritisk", "feil")] or open_cards
    page = _template().render(
        c=contents,
        t=contents.texts,
        tallies=contents.tallies,
        levels={level: [card for card in open_cards if card.level == level] for level in contents.levels_in_order},
        starts=starts[:STARTS],
        more_starts=len(open_cards) - len(starts[:STARTS]),
        answered=answered,
        fixed=fixed,
        rules=_rules(contents),
        plots=plots(contents.texts, figures),
        indicators=_indicators(contents),
        figures=figures,
        tables_file=TABLES,
        shown=SHOWN,
    )
    return page.encode()


@cache
def _template() -> Template:
    loader = PackageLoader("ipis.ssb.feedback")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("tilbakemelding.html")


def _rules(contents: Contents) -> Markup:
    """Write the lines of the table of rules."""
    summed = contents.by_rule
    columns: list[tuple[pa.Array, str, None]] = [
        (summed["rule"].combine_chunks(), '<th scope="row">', None),
        (contents.in_words("level", summed), "<td>", None),
        (contents.found_by_rule(), "<td>", None),
    ]
    counts = pa.concat_arrays([summed[name].combine_chunks().cast(pa.int64()) for name in _COUNTS])
    written = cells.numbers(counts, pa.repeat(pa.scalar(0, pa.int8()), len(counts)), contents.texts.language)
    columns += [
        (written.slice(place * summed.num_rows, summed.num_rows), '<td class="n">', None)
        for place in range(len(_COUNTS))
    ]
    return cells.body(cells.rows(columns), 0, summed.num_rows)


def _indicators(contents: Contents) -> list[dict[str, object]]:
    """Give the indicators as they are shown: rows of a few dozen."""
    texts = contents.texts
    return [
        {
            "id": row.id,
            "name": contents.name_of(row),
            "unit": row.unit[texts.language],
            "value": texts.number(row.value, row.decimals),
            "corrected": texts.number(row.if_corrected, row.decimals),
            "differs": texts.number(row.value, row.decimals) != texts.number(row.if_corrected, row.decimals),
            "open": texts.number(row.open_findings),
            "last_year": texts.number(row.last_year, row.decimals),
            "nation": texts.number(row.nation, row.decimals),
            "why": contents.reason_of(row),
        }
        for row in contents.indicators
    ]
