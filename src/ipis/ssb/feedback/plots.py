"""Plots of control tables as inline SVG: drawn by the page's own colours, each with a text alternative.

Which table a plot draws, and by which of its keys, is said in the letters (`plot_*` of tilbakemelding.toml); one whose
table is not there, or that nobody is in, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ipis.ssb.feedback.figures import Figures
    from ipis.ssb.feedback.texts import Texts

PREFIX: Final = "plot_"
_WIDTH: Final = 720
_LABEL: Final = 280
_ROW: Final = 26
_VALUE: Final = 70
_TOLD: Final = 12
"""Rows that a text alternative tells one by one; a longer one tells the greatest and names the table."""
_GREATEST: Final = 5
_TOTAL: Final = "*"
_ENOUGH: Final = 0.075
"""Share of a bar that has room for its number."""
_LETTERS: Final = dict.fromkeys(" .,:;'ijlIJ", 4.4) | dict.fromkeys("()/-ftr", 5.4) | dict.fromkeys("mwæMWÆ%…", 13.0)
"""Widths in DejaVu Sans at the page's 13 px: no font that the page may be shown in is wider."""
_CAPITAL: Final = 10.3
_LETTER: Final = 8.3


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: its words, the table it draws, and the drawing."""

    id: str
    title: str
    about: str
    table: str
    legend: tuple[tuple[str, str], ...]
    """Class of the colour, and what it stands for."""
    svg: Markup


@dataclass(frozen=True, slots=True)
class _Cell:
    """One row of a table as a plot needs it: codes, words, and the figures."""

    codes: Mapping[str, str]
    words: Mapping[str, str]
    this: float | None
    last_year: float | None
    nation: float | None


def plots(texts: Texts, tables: Sequence[Figures]) -> list[Plot]:
    """Draw the plots that the letters name."""
    by_id = {figures.id: figures for figures in tables}
    made = []
    for name, words in texts.sections.items():
        if not name.startswith(PREFIX) or words["table"] not in by_id:
            continue
        figures = by_id[words["table"]]
        drawing = _KINDS[words["kind"]](_cells(figures, words), words, texts)
        if drawing is not None:
            made.append(_plot(name, words, figures, drawing, texts))
    return made


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What a kind of plot draws, and what it says in words."""

    height: float
    marks: Sequence[str]
    told: Sequence[tuple[float, str]]
    """How much each row weighs, and its sentence."""
    legend: tuple[tuple[str, str], ...]


def _plot(name: str, words: Mapping[str, str], figures: Figures, drawing: _Drawing, texts: Texts) -> Plot:
    told = [sentence for _, sentence in drawing.told]
    if len(told) > _TOLD:
        greatest = sorted(drawing.told, key=lambda each: -each[0])[:_GREATEST]
        told = [texts["plot.greatest"], *(sentence for _, sentence in greatest)]
    spoken = " ".join([*told, texts["plot.see"].format(table=figures.id)])
    key = name.removeprefix(PREFIX)
    svg = (
        f'<svg viewBox="0 0 {_WIDTH} {drawing.height:.0f}" role="img" aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(words["title"])}</title><desc id="{key}-d">{escape(spoken)}</desc>'
        + "".join(drawing.marks)
        + "</svg>"
    )
    # Every word in it is escaped where it is put in.
    return Plot(key, words["title"], words["about"], figures.id, drawing.legend, Markup(svg))  # noqa: S704


def _cells(figures: Figures, words: Mapping[str, str]) -> list[_Cell]:
    """Take a table apart: the rows of its first measure, or, where each bar is a measure, of all but those left out."""
    frame, named = figures.table.frame.to_pylist(), figures.keys.to_pylist()
    measures = [measure.id for measure in figures.table.definition.measures]
    by_measure = words["by"] == "measure"
    chosen = {name for name in measures if name not in words["without"]} if by_measure else {measures[0]}
    keys = [f"k{place}" for place in range(len(figures.table.definition.keys))]
    return [
        _Cell({key: row[key] for key in (*keys, "measure")}, words_of, row["this"], row["last_year"], row["nation"])
        for row, words_of in zip(frame, named, strict=True)
        if row["measure"] in chosen and _TOTAL not in {row[key] for key in keys}
    ]


def _pyramid(cells: Sequence[_Cell], words: Mapping[str, str], texts: Texts) -> _Drawing | None:
    """Draw two sides back to back, the highest band on top."""
    split, by, sides = words["split"], words["by"], (words["left"], words["right"])
    bands = {cell.codes[by]: cell.words[by] for cell in cells if cell.codes[by]}
    names = {cell.codes[split]: cell.words[split] for cell in cells}
    counts = {(cell.codes[by], cell.codes[split]): cell.this or 0.0 for cell in cells}
    most = max((counts.get((band, side), 0.0) for band in bands for side in sides), default=0.0)
    if not most:
        return None
    middle, label = _WIDTH / 2, 44
    room = middle - label - _VALUE
    marks, told = [], []
    for place, (band, name) in enumerate(reversed(bands.items())):
        top = place * _ROW
        marks.append(_text(middle, top, name, "m"))
        for side, direction in zip(sides, (-1, 1), strict=True):
            count = counts.get((band, side), 0.0)
            long = room * count / most
            start = middle + direction * label
            marks.append(_bar(start - long if direction < 0 else start, top, long, "a" if direction < 0 else "b"))
            marks.append(_text(start + direction * (long + 5), top, texts.number(count), "e" if direction < 0 else "s"))
        pair = ", ".join(f"{names.get(side, side)} {texts.number(counts.get((band, side), 0.0))}" for side in sides)
        told.append((sum(counts.get((band, side), 0.0) for side in sides), f"{name}: {pair}."))
    legend = tuple(zip(("a", "b"), (names.get(side, side) for side in sides), strict=True))
    return _Drawing(len(bands) * _ROW, marks, told, legend)


def _bars(cells: Sequence[_Cell], words: Mapping[str, str], texts: Texts) -> _Drawing | None:
    """Draw this delivery and last year under each other, row by row."""
    by = words["by"]
    shown = [cell for cell in cells if cell.this or cell.last_year]
    most = max((max(cell.this or 0, cell.last_year or 0) for cell in shown), default=0.0)
    if not most:
        return None
    past = any(cell.last_year is not None for cell in shown)
    high = _ROW + (10 if past else 0)
    room = _WIDTH - _LABEL - _VALUE
    marks, told = [], []
    for place, cell in enumerate(shown):
        top, this = place * high, cell.this or 0.0
        long = room * this / most
        marks += [_text(_LABEL - 8, top, _short(cell.words[by]), "e"), _bar(_LABEL, top, long, "a")]
        marks.append(_text(_LABEL + long + 5, top, texts.number(this), "s"))
        sentence = f"{cell.words[by]}: {texts.number(this)}"
        if past and cell.last_year is not None:
            marks.append(_bar(_LABEL, top + 19, room * cell.last_year / most, "c", 8))
            sentence += f" ({texts['table.last_year']}: {texts.number(cell.last_year)})"
        told.append((this, f"{sentence}."))
    legend = (("a", texts["table.this"]), *((("c", texts["table.last_year"]),) if past else ()))
    return _Drawing(len(shown) * high, marks, told, legend)


def _stacked(cells: Sequence[_Cell], words: Mapping[str, str], texts: Texts) -> _Drawing | None:
    """Draw what each row is made of, in per cent."""
    split, by = words["split"], words["by"]
    parts = list({cell.codes[split]: cell.words[split] for cell in cells}.items())
    bars = {cell.codes[by]: cell.words[by] for cell in cells if cell.codes[by]}
    counts = {(cell.codes[by], cell.codes[split]): cell.this or 0.0 for cell in cells}
    room = _WIDTH - _LABEL - _VALUE
    marks, told, top = [], [], 0
    for bar, name in bars.items():
        whole = sum(counts.get((bar, part), 0.0) for part, _ in parts)
        if not whole:
            continue
        marks.append(_text(_LABEL - 8, top, _short(name), "e"))
        start, said = float(_LABEL), []
        for place, (part, part_name) in enumerate(parts):
            share = counts.get((bar, part), 0.0) / whole
            marks.append(_bar(start, top, room * share, f"p{place}"))
            if share >= _ENOUGH:
                marks.append(_text(start + room * share / 2, top, f"{texts.number(100 * share)} %", f"m q{place}"))
            said.append(f"{part_name} {texts.number(100 * share)} %")
            start += room * share
        marks.append(_text(start + 6, top, texts.number(whole), "s"))
        told.append((whole, f"{name} ({texts.number(whole)}): {', '.join(said)}."))
        top += _ROW
    legend = tuple((f"p{place}", part_name) for place, (_, part_name) in enumerate(parts))
    return _Drawing(top, marks, told, legend) if told else None


def _shares(cells: Sequence[_Cell], words: Mapping[str, str], texts: Texts) -> _Drawing | None:
    """Draw per cent of a whole, with the nation as a mark where it is published."""
    by = words["by"]
    shown = [cell for cell in cells if cell.this is not None]
    if not shown:
        return None
    room = _WIDTH - _LABEL - _VALUE
    marks, told = [], []
    for place, cell in enumerate(shown):
        top, this = place * _ROW, cell.this or 0.0
        marks += [_text(_LABEL - 8, top, _short(cell.words[by]), "e"), _bar(_LABEL, top, room, "d")]
        marks += [_bar(_LABEL, top, room * min(this, 100) / 100, "a")]
        marks.append(_text(_LABEL + room + 6, top, f"{texts.number(this)} %", "s"))
        sentence = f"{cell.words[by]}: {texts.number(this)} %"
        if cell.nation is not None:
            marks.append(_bar(_LABEL + room * cell.nation / 100 - 2, top - 2, 4, "n", 24))
            sentence += f" ({texts['table.nation']}: {texts.number(cell.nation)} %)"
        told.append((this, f"{sentence}."))
    published = any(cell.nation is not None for cell in shown)
    legend = (("a", words["share"]), *((("n", texts["table.nation"]),) if published else ()))
    return _Drawing(len(shown) * _ROW, marks, told, legend)


_KINDS: Final[Mapping[str, Callable[[Sequence[_Cell], Mapping[str, str], Texts], _Drawing | None]]] = {
    "pyramid": _pyramid,
    "bars": _bars,
    "stacked": _stacked,
    "shares": _shares,
}


def _bar(left: float, top: float, long: float, kind: str, high: float = 18) -> str:
    return f'<rect class="{kind}" x="{left:.1f}" y="{top + 2:.1f}" width="{long:.1f}" height="{high:.0f}"/>'


def _text(left: float, top: float, words: str, kind: str) -> str:
    """Write words: `s` begin there, `m` stand in the middle, `e` end there."""
    return f'<text class="{kind}" x="{left:.1f}" y="{top + 16:.1f}">{escape(words)}</text>'


def _short(words: str) -> str:
    """Cut a name that has no room; the table has it whole."""
    room = _LABEL - 12
    if _long(words) <= room:
        return words
    while _long(words + "…") > room:
        words = words[:-1]
    return words.rstrip(" –-,/") + "…"


def _long(words: str) -> float:
    """Tell how wide words are at most: cut at the left, a code would read as another."""
    return sum(_LETTERS.get(letter, _CAPITAL if letter.isupper() else _LETTER) for letter in words)
