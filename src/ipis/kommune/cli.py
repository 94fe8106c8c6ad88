"""`ipis kommune <verb>`: one module a verb, each adding itself here."""

from __future__ import annotations

import typer

from ipis.kommune import check, feedback, fetch, pack, receipts, seal, send

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The municipality: check, seal, send, fetch and open."
)

for verb in (pack, check, seal, send, receipts, fetch, feedback):
    verb.register(app)
