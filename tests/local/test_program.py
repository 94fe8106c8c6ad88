"""The one door: `ipis <room> <verb>` imports only the room asked for and ends every way with its own exit code."""

import json
import subprocess
import sys

import pytest
import typer

from ipis import __main__ as program
from ipis.kernel.errors import Misuse, OurFault, Refused, TryLater
from ipis.local.cli import newest_year
from ipis.local.parties import run_ipis


@pytest.fixture
def room(monkeypatch):
    """Put a room of the test's own behind the door; what its verb does is set by the test."""
    app = typer.Typer()
    does = {}

    @app.command()
    def verb(number: int = 0) -> int:
        return does["it"](number)

    @app.command()
    def other() -> None:
        """Be a second verb, so that the first keeps its name."""

    module = type(sys)("ipis_test_room")
    module.app = app
    monkeypatch.setitem(sys.modules, "ipis_test_room", module)
    monkeypatch.setitem(program.ROOMS, "kiosk", ("ipis_test_room", "a kiosk"))
    return does


def fail_with(error):
    """Make a verb that raises."""

    def it(_number):
        raise error

    return it


def test_without_a_room_the_rooms_are_listed(capsys):
    """Help is no error."""
    assert program.run([]) == 0
    assert program.run(["--help"]) == 0
    assert "kommune" in capsys.readouterr().out


def test_an_unknown_room_is_wrong_use(capsys):
    """64, and the rooms there are."""
    assert program.run(["kommunen"]) == 64
    assert "hint: one of kommune" in capsys.readouterr().err


def test_a_verbs_own_code_is_the_exit_code(room):
    """1: findings to correct."""
    room["it"] = lambda number: number
    assert program.run(["kiosk", "verb", "--number", "1"]) == 1


def test_wrong_use_of_a_verb_is_64(room, capsys):
    """Typer's own 2 would say `refused`."""
    room["it"] = lambda _: 0
    assert program.run(["kiosk", "verb", "--number", "x"]) == 64
    assert program.run(["kiosk", "verb", "--colour"]) == 64
    assert program.run(["kiosk", "nothing"]) == 64
    assert "hint: ipis kiosk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("extract.no_persons", file="a.xml"), 2),
        (TryLater("fetch.nothing"), 3),
        (Misuse("settings.missing", file="a"), 64),
        (OurFault("web.failed"), 70),
        (KeyboardInterrupt(), 130),
        (typer.Abort(), 130),
        (BrokenPipeError(), 0),
        (typer.Exit(5), 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code(room, error, code):
    """Scripts can tell `refused` from `try again later`."""
    room["it"] = fail_with(error)
    assert program.run(["kiosk", "verb"]) == code


@pytest.mark.parametrize(
    ("language", "word"), [("nb", "Ventet"), ("nn", "Venta"), ("en", "Expected"), ("xx", "Ventet")]
)
def test_a_refusal_says_what_was_found_expected_and_to_do_in_the_users_language(
    room, capsys, monkeypatch, language, word
):
    """Three lines and the code."""
    monkeypatch.setenv("IPIS_LANGUAGE", language)
    room["it"] = fail_with(Refused("extract.no_persons", file="a.xml"))
    program.run(["kiosk", "verb"])
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 3
    assert word in said
    assert "[extract.no_persons]" in said


def test_a_file_is_named_as_it_is_called(room, capsys):
    """A capital would name a file that is not there."""
    room["it"] = fail_with(Refused("author.no_data", folder="data"))
    program.run(["kiosk", "verb"])
    assert "Stoppet: data er ingen mappe, og ikke noe uttrekk." in capsys.readouterr().err


def test_a_refusal_for_programs_is_one_json_object(room, capsys):
    """Exactly five keys."""
    assert program.tell(Refused("extract.no_persons", file="a.xml"), as_json=True) == 2
    assert set(json.loads(capsys.readouterr().err)) == {"code", "found", "expected", "do", "retry"}


def test_an_unforeseen_error_is_told_by_kind_and_place_never_by_text(room, capsys):
    """Its text may hold a person's value."""
    room["it"] = fail_with(ValueError("01815012352"))
    assert program.run(["kiosk", "verb"]) == 70
    said = capsys.readouterr().err
    assert "01815012352" not in said
    assert "ValueError" in said
    assert "test_program.py" in said


def test_a_room_whose_packages_are_missing_says_which_to_install(room, capsys):
    """A municipality that asks for a server's verb is not left with a traceback."""
    room["it"] = fail_with(ModuleNotFoundError("No module named 'django'", name="django"))
    assert program.run(["kiosk", "verb"]) == 64
    assert "django" in capsys.readouterr().err


def test_the_program_runs_as_a_module():
    """`python -m ipis` is the command."""
    done = subprocess.run([sys.executable, "-m", "ipis", "nobody"], capture_output=True, check=False)
    assert done.returncode == 64


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A working folder with files that call themselves what our processes import; gives what they leave when run."""
    trace = tmp_path / "trace"
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("ipis", "h2", "multiprocessing"):
        (folder / f"{name}.py").write_text(f"open({str(trace)!r}, 'a').write({name!r})\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return trace


def test_a_party_runs_nothing_from_the_working_folder(hostile):
    """A file there, called as one of our modules, would be run with the room's keys."""
    done = run_ipis(["nobody"], accept=(0, 64))
    assert (done.returncode, hostile.exists()) == (64, False)


def test_a_child_runs_nothing_from_the_working_folder(hostile, tmp_path):
    """The confined child of intake reads hostile data beside the room's keys."""
    program_file = tmp_path / "program.py"
    program_file.write_text(_STARTS_A_CHILD, encoding="utf-8")
    done = subprocess.run([sys.executable, program_file], capture_output=True, check=False)
    assert (done.returncode, hostile.exists()) == (64, False), done.stderr


_STARTS_A_CHILD = """
import os, sys
from ipis import __main__ as program
from ipis.kernel.confined import Confined

def run(_):
    with Confined() as child:
        return 64 if child.run(os.getpid) else 1

if __name__ == "__main__":
    program.run = run
    program.main()
"""


def test_the_newest_year_is_found_in_the_definitions():
    """No year stands in code."""
    assert newest_year() >= 2017


def test_the_hint_names_the_verb_and_no_option(capsys):
    assert program.run(["validate", "--data", "tabeller"]) == 64
    assert "hint: ipis validate --help" in capsys.readouterr().err
