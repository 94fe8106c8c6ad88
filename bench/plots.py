"""Plots as small SVG files of our own: lines over a run of sizes, and stacked bars of stages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_COLOURS = ("#1f5f9f", "#c4501b", "#2f7d4f", "#7a3e9d", "#9a7b00", "#5b6470", "#b0305c", "#1d8a99")
_WIDTH, _LEFT, _ROW = 860, 150, 34


def bars(path: Path, title: str, rows: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Draw one bar a row, its parts side by side, the largest first; what is under a fiftieth goes into the rest."""
    longest = max((sum(parts.values()) for parts in rows.values()), default=1.0) or 1.0
    scale = (_WIDTH - _LEFT - 90) / longest
    drawn, y = [_text(10, 22, title, size=15)], 50
    for name, parts in rows.items():
        whole, x = sum(parts.values()), float(_LEFT)
        drawn.append(_text(_LEFT - 8, y + 15, name, anchor="end"))
        large = [(part, value) for part, value in sorted(parts.items(), key=lambda each: -each[1])]
        for place, (part, value) in enumerate(large):
            colour = _COLOURS[place % len(_COLOURS)]
            drawn.append(
                f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="20" fill="{colour}">'
                f"<title>{escape(part)}: {value:.2f} {unit}</title></rect>"
            )
            if value * scale > 6.2 * len(part):
                drawn.append(_text(x + 4, y + 14, part, colour="#fff", size=10))
            x += value * scale
        drawn.append(_text(x + 6, y + 15, f"{whole:.1f} {unit}"))
        y += _ROW
    _save(path, y + 10, drawn, title)


def lines(path: Path, title: str, curves: Mapping[str, Sequence[tuple[float, float]]], axes: tuple[str, str]) -> None:
    """Draw a curve a name over common axes that begin at nought."""
    height = 380
    most_x = max(x for points in curves.values() for x, _ in points)
    most_y = max(y for points in curves.values() for _, y in points) or 1.0
    left, right, top, bottom = 70, _WIDTH - 190, 44, height - 50

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (right - left) * x / most_x, bottom - (bottom - top) * y / most_y

    drawn = [_text(10, 22, title, size=15)]
    drawn.append(f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#444"/>')
    for step in range(5):
        value = most_y * step / 4
        drawn.append(_text(left - 8, at(0, value)[1] + 4, f"{value:.3g}", anchor="end"))
    sizes = sorted({x for points in curves.values() for x, _ in points})
    drawn += [_text(at(x, 0)[0], bottom + 18, f"{x:g}", anchor="middle") for x in sizes]
    drawn.append(_text((left + right) / 2, height - 12, axes[0], anchor="middle"))
    drawn.append(_text(left, top - 8, axes[1]))
    for place, (name, points) in enumerate(curves.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        places = [at(x, y) for x, y in points]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        drawn.append(_text(right + 12, top + 20 * place + 10, name, colour=colour))
    _save(path, height, drawn, title)


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{escape(text)}</text>'
    )


def _save(path: Path, height: float, drawn: Sequence[str], title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n",
        encoding="utf-8",
    )
