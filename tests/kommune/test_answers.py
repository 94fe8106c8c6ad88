"""`seal --answers`: what the municipality says is right as it is travels by local keys, and nothing else of the list does."""

import pytest
from tests.kommune import testvik
from tests.kommune.test_seal import opened, refusal

from ipis.__main__ import run
from ipis.kernel.forsendelse import read_container
from ipis.kernel.rows import LOKAL

COLUMNS = ("brukerNr", "fid", "level", "record", "id", "field", "value", "found", "rule", "svar", "begrunnelse")
RIGHT = {"rule": "K075", "record": "tjeneste", "brukerNr": "B1", "id": "T0", "field": "orgNr", "svar": "riktig"}


def worklist(folder, *rows, columns=COLUMNS, encoding="utf-8-sig", name="worklist.csv"):
    lines = [";".join(columns), *(";".join(row.get(column, "") for column in columns) for row in rows)]
    path = folder / name
    path.write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))
    return path


def answered(desk, *rows, more=(), **wished):
    """Seal with a worklist and give the opened data part."""
    source = testvik.extract(desk.folder)
    assert run(desk.seal(source, "--answers", worklist(desk.folder, *rows, **wished), *more)) == 0
    return opened(desk, desk.folder / "testvik.forsendelse", "data")


def shown(data):
    """The answers with their ids by value."""
    names = dict(zip(data.lokal["local_key"].to_pylist(), data.lokal["value"].to_pylist(), strict=True))
    return [
        (row["rule"], row["record"], names.get(row["brukerNr"]), names.get(row["id"]), row["field"], row["begrunnelse"])
        for row in data.answers.to_pylist()
    ]


def test_an_answer_travels_by_local_keys_and_the_rest_of_the_list_stays(desk, capsys):
    rows = [
        RIGHT | {"fid": testvik.NUMBERS[0], "found": "mangler", "begrunnelse": "Enheten er ny i år; æøå"[:18]},
        RIGHT | {"id": "T1", "brukerNr": "B2", "svar": ""},
    ]
    data = answered(desk, *rows)
    assert shown(data) == [("K075", "tjeneste", "B1", "T0", "orgNr", "Enheten er ny i år")]
    assert "1 svar er forseglet" in capsys.readouterr().err


def test_without_answers_a_data_part_is_as_before(desk):
    assert run(desk.seal(testvik.extract(desk.folder))) == 0
    assert opened(desk, desk.folder / "testvik.forsendelse", "data").answers is None


@pytest.mark.parametrize("svar", ["riktig", "Rett", " RIGHT "])
def test_an_answer_may_be_given_in_each_language(desk, svar):
    assert len(shown(answered(desk, RIGHT | {"svar": svar}))) == 1


def test_a_list_saved_by_a_norwegian_spreadsheet_is_read(desk):
    data = answered(desk, RIGHT | {"begrunnelse": "avklart på nytt"}, encoding="cp1252")
    assert shown(data)[0][-1] == "avklart på nytt"


def test_a_mark_against_spreadsheets_is_taken_off(desk):
    assert shown(answered(desk, RIGHT | {"begrunnelse": "'=1+1"}))[0][-1] == "=1+1"


def test_an_answer_about_the_delivery_or_a_missing_service_names_no_record(desk):
    rows = [
        {"rule": "K014", "record": "uttrekk", "svar": "riktig"},
        {"rule": "K101", "record": "tjeneste", "field": "kode", "svar": "riktig"},
    ]
    assert {row[:5] for row in shown(answered(desk, *rows))} == {
        ("K014", "uttrekk", None, None, ""),
        ("K101", "tjeneste", None, None, "kode"),
    }


def test_answers_about_records_that_are_gone_are_told_and_left_out(desk, capsys):
    rows = [RIGHT, RIGHT | {"id": "T7"}, RIGHT | {"brukerNr": "B9"}, RIGHT | {"rule": "K999"}]
    assert len(shown(answered(desk, *rows))) == 1
    assert "3 er utelatt: linje 3, 4, 5" in capsys.readouterr().err


def test_a_rule_that_is_found_in_several_record_types_is_answered_in_each(desk):
    """Faults of form stand in the catalogue under one record type."""
    rows = [
        {"rule": "L001", "record": "person", "brukerNr": "B1", "field": "brukerNr", "svar": "riktig"},
        {"rule": "L001", "record": "tjeneste", "brukerNr": "B1", "id": "T0", "field": "vedtakId", "svar": "riktig"},
    ]
    assert {row[1] for row in shown(answered(desk, *rows))} == {"person", "tjeneste"}


def test_the_id_of_an_answer_that_is_a_day_gets_a_local_key_of_its_own(desk):
    source = testvik.extract(desk.folder)
    text = source.read_text().replace("</Person>", '<Vurdering dato="2017-05-01" F01="2"/></Person>', 1)
    source.write_text(text.replace("<Slutt ", '<Slutt antallVurdering="1" '))
    row = {"rule": "K096", "record": "vurdering", "brukerNr": "B1", "id": "2017-05-01", "svar": "riktig"}
    assert run(desk.seal(source, "--answers", worklist(desk.folder, row))) == 0
    data = opened(desk, desk.folder / "testvik.forsendelse", "data")
    assert shown(data) == [("K096", "vurdering", "B1", "2017-05-01", "", "")]


def test_all_answers_stand_in_the_first_of_several_parts(desk):
    from ipis.kernel import opening, sealed
    from ipis.kernel.forsendelse import extract
    from ipis.kernel.seasonpack import SeasonPack

    source = testvik.extract(desk.folder, numbers=testvik.NUMBERS * 900, bruker=tuple(f"B{n + 1}" for n in range(1800)))
    out = desk.folder / "testvik.forsendelse"
    assert run(desk.seal(source, "--answers", worklist(desk.folder, RIGHT), "--max-part-size", 72_000)) == 0
    parcel, layout, parts = read_container(out), SeasonPack.load(desk.pack).collection.layout, []
    assert len(parcel.manifest.by_role("data")) > 1
    for part in parcel.manifest.by_role("data"):
        extract(parcel, part.name, desk.folder / part.name)
        clear = sealed.open_to_file(desk.folder / part.name, desk.ssb, desk.folder / f"{part.k}", part=part.name)
        parts.append(opening.read_data_part(clear, part, parcel.manifest.facts, layout))
    assert [part.answers.num_rows for part in parts] == [1] + [0] * (len(parts) - 1)
    assert len(shown(opening.join_data(parts, layout))) == 1
    assert parts[0].header.rows[LOKAL] == opening.join_data(parts, layout).lokal.num_rows


@pytest.mark.parametrize(
    ("row", "code", "line"),
    [
        ({"svar": "kanskje"}, "answers.unknown", 3),
        ({"svar": "", "begrunnelse": "glemt"}, "answers.no_svar", 3),
        ({"begrunnelse": "x" * 501}, "answers.begrunnelse", 3),
        ({"begrunnelse": "x\ty"}, "answers.begrunnelse", 3),
        ({"rule": ""}, "answers.key", 3),
        ({"begrunnelse": "en annen"}, "answers.doubled", 3),
        ({"id": "T1", "brukerNr": "B2", "begrunnelse": "gjelder 018150 12352"}, "answers.identity", 3),
        ({"id": "T1", "brukerNr": "B2", "begrunnelse": "se 41815012346"}, "answers.identity", 3),
        ({"id": "T1", "brukerNr": "B2", "begrunnelse": "se ０１８１５０１２３５２"}, "answers.identity", 3),
        ({"id": "T1", "brukerNr": "B2", "begrunnelse": "se ٠١٨١٥٠ ١٢٣٥٢"}, "answers.identity", 3),
        ({"id": "T1", "brukerNr": "B2", "begrunnelse": "𝟒𝟏𝟖𝟏𝟓𝟎𝟏𝟐𝟑𝟒𝟔 æ"}, "answers.identity", 3),
        ({"found": "to; kolonner"}, "answers.columns", 3),
        ({"found": '"åpent'}, "answers.csv", 3),
    ],
)
def test_what_is_not_as_it_must_be_is_refused_with_its_line(desk, capsys, row, code, line):
    source, listed = testvik.extract(desk.folder), worklist(desk.folder, RIGHT, RIGHT | row)
    arguments = desk.seal(source, "--answers", listed)
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert f"[{code}]" in said
    assert f"linje {line}" in said.lower()
    assert not any(number in said for number in testvik.NUMBERS)
    assert not (desk.folder / "testvik.forsendelse").exists()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "answers.header"),
        (b"rule;record;brukerNr;id;field;svar\r\n", "answers.header"),
        (b"rule;record;brukerNr;id;field;svar;svar;begrunnelse\r\n", "answers.header"),
        (b"rule;record\0;brukerNr;id;field;svar;begrunnelse\r\n", "answers.file"),
        (b"rule;record;brukerNr;id;field;svar;begrunnelse\r\n\x81\x8d\r\n", "answers.file"),
    ],
)
def test_a_file_that_is_no_worklist_is_refused(desk, capsys, content, code):
    path = desk.folder / "worklist.csv"
    path.write_bytes(content)
    assert refusal(capsys, desk.seal(testvik.extract(desk.folder), "--answers", path)) == (2, code)


def test_answering_makes_another_content_than_the_same_rows_without(desk):
    """K014 looks at the sum: a forsendelse that answers says something new."""
    sums = []
    for rows in ((), (RIGHT,), (RIGHT,), (RIGHT | {"begrunnelse": "ny"},)):
        data = answered(desk, *rows, more=("--sequence", len(sums) + 1))
        sums.append(data.content_sha256)
        (desk.folder / "clear").unlink()
        (desk.folder / "data-0001.age").unlink()
    assert sums[1] == sums[2]
    assert len({sums[0], sums[1], sums[3]}) == 3
