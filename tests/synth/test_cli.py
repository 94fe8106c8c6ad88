"""`ipis synth` in the form that the command line fixes."""

import pytest
from tests.kernel.years import copied_folder

from ipis.__main__ import run

BASE = ["synth", "--collection", "iplos", "--year", "2017", "--kommune", "0403", "--persons", "20"]


def test_the_two_files_are_written_where_asked(tmp_path, capsys):
    assert (
        run(
            [
                *BASE,
                "--out",
                str(tmp_path / "a"),
                "--faults",
                "0.2",
                "--innsending",
                "2",
                "--seed",
                "5",
                "--bydel",
                "01",
            ]
        )
        == 0
    )
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["040301_iplos_uttrekk_2017.xml", "faults.csv"]
    assert (tmp_path / "a" / "faults.csv").read_text(encoding="utf-8").startswith("rule,record,brukerNr,id,field\n")
    assert "20 persons" in capsys.readouterr().err


def test_no_faults_is_the_default(tmp_path):
    assert run([*BASE, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "faults.csv").read_text(encoding="utf-8") == "rule,record,brukerNr,id,field\n"


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        (["--kommune", "403"], 64, "synth.option"),
        (["--bydel", "1"], 64, "synth.option"),
        (["--kommune", "5001"], 64, "synth.kommune"),
        (["--year", "1999"], 2, "collection.unknown"),
        (["--faults", "1.5"], 64, "--faults"),
        (["--persons", "-1"], 64, "--persons"),
        (["--national"], 64, "--kommune"),
        (["--format", "json"], 64, "--format"),
    ],
)
def test_wrong_use_is_said(tmp_path, capsys, wrong, code, text):
    assert run([*BASE, "--out", str(tmp_path), *wrong]) == code
    assert text in capsys.readouterr().err


def test_definitions_of_another_year_are_refused(tmp_path, capsys, root):
    folder = root / "src" / "ipis" / "definitions" / "iplos" / "2016"
    assert run([*BASE, "--out", str(tmp_path), "--definitions", str(folder)]) == 64
    assert "--definitions" in capsys.readouterr().err


@pytest.fixture
def small_country(tmp_path):
    """Give a folder of definitions with four municipalities, one of them with districts."""
    folder = copied_folder(tmp_path / "definitions", 2099)
    path = folder / "codes" / "kommuner.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [lines[0], *(line for line in lines[1:] if line[:4] in {"0301", "0402", "0403", "1144"})]
    path.write_text("".join(kept), encoding="utf-8")
    return folder


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def national(small_country, out, *more):
    base = ["synth", "--collection", "iplos", "--year", "2099", "--national", "--definitions", str(small_country)]
    assert run([*base, "--out", str(out), "--persons", "30", *more]) == 0
    return contents(out)


def test_the_country_is_a_folder_for_each_place_that_sends_and_a_summary(small_country, tmp_path, capsys):
    files = national(small_country, tmp_path / "out")
    summary = files.pop("summary.csv").decode().splitlines()
    assert summary[0] == "kommune,bydel,extract,persons,services,findings,bytes,whole,missing"
    assert len(summary) == 1 + 3 + 15
    for line in summary[1:]:
        kommune, bydel, extract, persons, *_ = line.split(",")
        assert (persons, extract) == ("30", f"{kommune}{bydel}/{kommune}{bydel}_iplos_uttrekk_2099.xml")
        assert files.pop(extract)
        assert files.pop(f"{kommune}{bydel}/faults.csv").startswith(b"rule,")
    assert files == {}
    assert "18 extracts, 540 persons" in capsys.readouterr().err


def test_the_bytes_are_the_same_again_and_with_several_jobs(small_country, tmp_path):
    once = national(small_country, tmp_path / "once")
    assert national(small_country, tmp_path / "again") == once
    assert national(small_country, tmp_path / "shared", "--jobs", "2") == once


def test_without_faults_the_country_is_clean(small_country, tmp_path):
    files = national(small_country, tmp_path / "out", "--faults", "0", "--format", "csv")
    lists = [data for name, data in files.items() if name.endswith("faults.csv")]
    assert set(lists) == {b"rule,record,brukerNr,id,field\n"}
    assert "040300/040300_iplos_uttrekk_2099/tjeneste.csv" in files


def test_a_municipality_can_have_the_stated_mix(tmp_path):
    assert run([*BASE, "--out", str(tmp_path), "--persons", "200", "--stated", "--at-ssb"]) == 0
    assert (tmp_path / "faults_ssb.csv").read_text(encoding="utf-8").startswith("rule,record,brukerNr,id,field\n")
    assert "K049" in (tmp_path / "faults.csv").read_text(encoding="utf-8")
