"""A forsendelse becomes a delivery: whole, once, under SSB's own pseudonyms, with R3 and without what must not be kept."""

from __future__ import annotations

from ipis.ssb.register.models import Delivery


def test_forwarded_parcel_is_loaded(load):
    """Every record type arrives with its rows, and the catalogue row says so."""
    row, made = load()
    assert (row.state, row.problem) == ("cleared", "")
    delivery = Delivery.objects.get()
    assert row.delivery == delivery
    assert delivery.rows == {name: table.num_rows for name, table in made.tables.items()}
