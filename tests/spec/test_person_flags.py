"""What a person is on 31 December by the services in the file, drawn: the flags that rules, tables and indicators share."""

from functools import cache

import pytest

from ipis.kernel.collection import packaged
from ipis.validation import examples
from ipis.validation.relations import derived
from ipis.validation.run import Content

COLLECTION = packaged("iplos", 2017)
FLAGS = ("har_tjeneste", "har_tjeneste_3112", "har_langtid", "har_korttid", "hjemmeboende", "har_hjemmetjeneste")

# Services as code:start..end (nothing after .. : it runs on), then the flags in the order above.
DRAWN = """
no service                                                            -  -  -  -  -  -
15:2015-01-01..                                                       y  y  -  -  y  y
15:2015-01-01..2017-12-31   it runs on its last day                   y  y  -  -  y  y
15:2015-01-01..2017-12-30   it ended the day before                   y  -  -  -  -  y
15:2015-01-01..2017-01-01   it ran on the first day of the year       y  -  -  -  -  y
15:2015-01-01..2016-12-31   it ended before the year                  -  -  -  -  -  -
15:2017-12-31..             it began on the last day                  y  y  -  -  y  y
15:2018-01-01..             it begins after the year                  y  -  -  -  -  y
21:2015-01-01..                                                       y  y  y  -  -  -
21:2015-01-01..2017-05-01   moved out in May                          y  -  -  -  -  -
21:2015-01-01..2017-05-01 15:2017-05-01..                             y  y  -  -  y  y
18:2017-11-01..             a time-limited stay                       y  y  -  y  -  -
20:2017-11-01.. 01:2015-01-01..                                       y  y  -  y  -  y
21:2015-01-01.. 15:2015-01-01..                                       y  y  y  -  -  y
17:2015-01-01..             a day stay: lives at home                 y  y  -  -  y  -
22:2015-01-01..             a night stay: lives at home               y  y  -  -  y  -
08:2017-12-01..             respite: lives at home                    y  y  -  -  y  -
25:2017-12-30..             acute: lives at home                      y  y  -  -  y  -
12:2010-01-01..             a dwelling is no stay                     y  y  -  -  y  -
06:2010-01-01..             an alarm is a service, not a home service y  y  -  -  y  -
"""


def lines():
    for line in DRAWN.strip().split("\n"):
        words = line.split()
        flags = tuple(word == "y" for word in words[-len(FLAGS) :])
        services = [word for word in words[: -len(FLAGS)] if ".." in word]
        yield line[: line.rindex("  " + words[-6] + "  ")].strip() if services else "no service", services, flags


@cache
def flags_of_all():
    """Judge all drawn persons in one delivery."""
    rows = {"person": [], "tjeneste": []}
    for place, (_, services, _) in enumerate(lines()):
        rows["person"].append({})
        for service in services:
            code, _, period = service.partition(":")
            start, _, end = period.partition("..")
            rows["tjeneste"].append({"kode": code, "startDato": start, "sluttDato": end or None, "_person": place})
    tables = {name: examples.table(record, rows.get(name, [])) for name, record in COLLECTION.layout.records.items()}
    with derived(COLLECTION, [Content(tables, {}, None)], [("person", flag) for flag in FLAGS]) as relations:
        names = ", ".join(FLAGS)
        answer = relations.engine.query(f"SELECT _row, {names} FROM {relations.names['person']}").sort_by("_row")
    return [tuple(row[flag] for flag in FLAGS) for row in answer.to_pylist()]


@pytest.mark.parametrize(
    ("place", "flags"), [pytest.param(place, flags, id=name) for place, (name, _, flags) in enumerate(lines())]
)
def test_a_person_is_what_the_services_say(place, flags):
    assert dict(zip(FLAGS, flags_of_all()[place], strict=True)) == dict(zip(FLAGS, flags, strict=True))
