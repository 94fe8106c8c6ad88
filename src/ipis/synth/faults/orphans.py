"""Rows whose person is not in the file: only flat files can show them (K050, K058)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ipis.synth.faults.listed import Listed
from ipis.synth.people import Place
from ipis.synth.rates import rates
from ipis.synth.rows import Draw, Ints, Rows, digits, joined


def add(draw: Draw, place: Place, share: float, seed: int, listed: Listed) -> Draw:
    """Add services and refusals of users that the file does not tell of, by the share of persons with a fault."""
    count = int(np.ceil(share * rates()["mix"]["orphans"] * draw.persons))
    if not count:
        return draw
    rng = np.random.default_rng([seed, place.collection.year, int(place.kommune), int(place.bydel), 4])
    users = joined("U", digits(np.arange(1, count + 1), 6))
    person = draw.persons + np.arange(count)
    decided = place.first_day + rng.integers(0, 300, count)
    day = pa.array(decided.astype(np.int32)).cast(pa.date32()).cast(pa.string())
    service = {
        "tjenesteId": joined("T", users),
        "kode": pa.repeat(pa.scalar("06"), count),
        "startDato": day,
    }
    refusal = {
        "vedtakId": joined("V", users),
        "tjenesteKode": pa.repeat(pa.scalar("06"), count),
        "soknadDato": day,
        "vedtakDato": day,
        "utfall": pa.repeat(pa.scalar("3"), count),
    }
    rows = dict(draw.rows)
    rows["tjeneste"] = _after(rows["tjeneste"], person, service)
    rows["vedtak"] = _after(rows["vedtak"], person, refusal)
    listed.add("K058", "tjeneste", users, service["tjenesteId"], "brukerNr")
    listed.add("K050", "vedtak", users, refusal["vedtakId"], "brukerNr")
    return Draw(draw.header, rows, tuple(users.to_pylist()))


def _after(rows: Rows, person: Ints, added: dict[str, pa.Array]) -> Rows:
    columns = {
        name: pa.concat_arrays([column, added.get(name, pa.nulls(len(person), pa.string()))])
        for name, column in rows.columns.items()
    }
    return Rows(np.concatenate([rows.person, person]), columns)
