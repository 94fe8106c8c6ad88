"""The leak scan finds identity numbers wherever they hide, and says how many and in which column, no more."""

import random

import pyarrow as pa
import pytest

from ipis.kernel.leak import ColumnHits, OwnNumbers, Suspects, leaking, own_hits, scan

NUMBER = "01815012352"
DUF = "200012345607"


def hits(values, **columns):
    return {found.column: found.hits for found in scan(pa.table({"kolonne": values, **columns}))}


@pytest.mark.parametrize(
    "text",
    [
        NUMBER,
        "018150 12352",
        "018150-12352",
        "01.81.50 12352",
        "01 81 50 123 52",
        "018150\u00a012352",
        "018150\u201312352",
        f"fnr {NUMBER}.",
        f"2017{NUMBER}",
        f"{NUMBER}0403",
        "41815012346",
        "01415012450",
        DUF,
        "2000 1234 5607",
        f"x{NUMBER}x",
    ],
)
def test_a_number_is_found_however_it_is_written(text):
    assert hits([text, "annet", None]) == {"kolonne": 1}


@pytest.mark.parametrize(
    "text",
    ["", "tekst", "01815012353", "00000000000", "11111111111", "2017-01-02", "0181501235", "200012345608", "100012345604",
     "31825012352", "974760673", "T000000001", "12345678901234567890"],
)  # fmt: skip
def test_other_text_is_not_a_number(text):
    assert hits([text]) == {"kolonne": 0}


def test_digits_of_two_values_are_not_read_as_one():
    assert hits(["018150", "12352", "0181501", "2352"]) == {"kolonne": 0}


def test_a_value_with_two_numbers_is_one_hit():
    assert hits([f"{NUMBER}/{NUMBER}"]) == {"kolonne": 1}


def test_text_columns_of_every_kind_are_scanned_and_others_are_not():
    table = pa.table(
        {
            "lang": pa.array([NUMBER], pa.large_string()),
            "ordbok": pa.array([NUMBER]).dictionary_encode(),
            "tall": pa.array([int(NUMBER)]),
            "tom": pa.array([None], pa.string()),
        }
    )
    assert scan(table) == (ColumnHits("lang", 1, 1), ColumnHits("ordbok", 1, 1), ColumnHits("tom", 0, 0))


@pytest.mark.parametrize(
    ("found", "values", "leaks"), [(2, 3, False), (3, 3, True), (3, 300, False), (4, 300, True), (0, 0, False)]
)
def test_a_column_leaks_from_three_hits_and_more_than_one_in_a_hundred(found, values, leaks):
    column = ColumnHits("kolonne", found, values)
    assert column.leaks is leaks
    assert leaking([column]) == ((column,) if leaks else ())


def test_a_large_column_is_counted_over_all_its_pieces():
    values = ["T000000001"] * 70_000 + [NUMBER] + ["x"] * 70_000 + [NUMBER]
    chunked = pa.chunked_array([values[:100], values[100:]])
    assert scan(pa.table({"kolonne": chunked})) == (ColumnHits("kolonne", 2, len(values)),)


def test_chance_numbers_stay_below_the_threshold():
    """Local ids of eleven and twenty random digits are no leak."""
    rng = random.Random(1)
    table = pa.table(
        {f"n{width}": ["".join(rng.choices("0123456789", k=width)) for _ in range(20_000)] for width in (11, 12, 20)}
    )
    assert not leaking(scan(table))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (NUMBER, 1),
        ("01.81.50 12352", 1),
        (f"99{NUMBER}99", 1),
        (f"999{DUF}9", 1),
        ("01815012353", 1),
        ("01815024598", 0),
        ("11111111111", 0),
        ("018150123", 0),
        ("tekst", 0),
    ],
)
def test_ones_own_numbers_are_found_at_any_place(text, found):
    """Right or wrong check digits: what stands as an identifier in this extract may stand nowhere else."""
    own = pa.chunked_array(
        [pa.array([NUMBER, "018150 12353", DUF, "11111111111", "018150", None]), pa.array(["tekst"])]
    )
    (column,) = own_hits(pa.table({"kolonne": [text]}), own)
    assert (column.hits, column.values) == (found, 1)


def test_without_numbers_of_ones_own_nothing_is_found():
    assert own_hits(pa.table({"kolonne": [NUMBER]}), pa.array([], pa.string()))[0].hits == 0
    assert own_hits(pa.table({"kolonne": [NUMBER]}), pa.array(["123456789012345"]))[0].hits == 0


def test_suspects_sought_once_answer_every_look_and_show_nothing():
    table = pa.table(
        {
            "egne": [NUMBER, "1111 1111 111", None],
            "andres": ["x", f"{DUF} og mer", "2017-01-02"],
            "kort": ["0181501235", None, "1"],
            "tom": pa.nulls(3, pa.string()),
            "tall": [1, 2, 3],
        }
    )
    suspects, own = Suspects(table), OwnNumbers(pa.array([NUMBER]))
    assert [(found.column, found.hits) for found in scan(suspects)] == [
        ("egne", 1), ("andres", 1), ("kort", 0), ("tom", 0),
    ]  # fmt: skip
    assert scan(suspects) == scan(table)
    assert own_hits(suspects, own) == own_hits(table, own)
    assert NUMBER not in repr(suspects)


def test_identifiers_made_ready_once_are_found_as_before_and_show_nothing():
    ready = OwnNumbers(pa.array([NUMBER]))
    table = pa.table({"kolonne": [f"se {NUMBER}"], "kort": ["1"]})
    assert own_hits(table, ready) == own_hits(table, pa.array([NUMBER]))
    assert NUMBER not in repr(ready)
