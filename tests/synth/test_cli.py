"""`ipis synth` in the form that the command line fixes."""

import pytest

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
    ],
)
def test_wrong_use_is_said(tmp_path, capsys, wrong, code, text):
    assert run([*BASE, "--out", str(tmp_path), *wrong]) == code
    assert text in capsys.readouterr().err


def test_definitions_of_another_year_are_refused(tmp_path, capsys, root):
    folder = root / "src" / "ipis" / "definitions" / "iplos" / "2016"
    assert run([*BASE, "--out", str(tmp_path), "--definitions", str(folder)]) == 64
    assert "--definitions" in capsys.readouterr().err
