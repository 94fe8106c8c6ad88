"""The Spark engine by itself: it is handed tables, loses none of their rows, and its failures show no value."""

import fcntl
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pytest
from tests.validation import spark_cast

from ipis.validation.engines import ScanFailed, cluster, engine_named
from ipis.validation.engines.spark import Spark, translated

SECRET = "01815012352"


@pytest.fixture(scope="module")
def spark():
    assert spark_cast.ENGINES
    with engine_named("spark") as engine:
        yield engine


def test_rows_after_an_empty_batch_are_not_lost(spark):
    """pyspark 4 reads up to the first empty batch of an Arrow table."""
    parts = [pa.table({"a": pa.array(values, pa.int32())}) for values in ([0], [], [1], [], [2])]
    spark.register("pieces", pa.concat_tables(parts))
    assert sorted(spark.query("SELECT a FROM pieces")["a"].to_pylist()) == [0, 1, 2]


def test_tables_of_any_arrow_type_of_ours_are_read(spark):
    table = pa.table(
        {
            "d": pa.array(["a", None]).dictionary_encode(),
            "l": pa.array(["b", None], pa.large_string()),
            "v": pa.array(["b", None], pa.string_view()),
            "k": pa.array([b"0" * 16, None], pa.binary(16)),
            "u": pa.array([1, None], pa.uint8()),
            "n": pa.nulls(2, pa.string()),
        }
    )
    spark.register("kinds", table)
    found = spark.query('SELECT "d", "l", "v", "k", "u", "n" FROM kinds')
    assert found.num_rows == 2
    assert sorted(map(str, found["d"].to_pylist())) == ["None", "a"]


def test_what_is_kept_is_not_run_again_and_a_name_that_stands_is_taken_over(spark):
    spark.register("numbers", pa.table({"a": [1, 2]}))
    spark.keep("kept", "SELECT a + 1 AS b FROM numbers")
    spark.register("numbers", pa.table({"a": [10]}))
    assert sorted(spark.query("SELECT b FROM kept")["b"].to_pylist()) == [2, 3]
    spark.view("seen", "SELECT a FROM numbers")
    assert spark.query("SELECT a FROM seen")["a"].to_pylist() == [10]


@pytest.mark.parametrize("select", ['SELECT CAST("t" AS INTEGER) AS x FROM words', "SELECT 9223372036854775807 + LENGTH(t) AS x FROM words", "SELECT nowhere FROM words"])  # fmt: skip
def test_a_failure_names_its_kind_and_never_a_value(spark, capfd, select):
    spark.register("words", pa.table({"t": [f"{SECRET}x"]}))
    for run in (spark.query, lambda text: spark.keep("failed", text)):
        with pytest.raises(ScanFailed) as caught:
            run(select)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
    shown = capfd.readouterr()
    assert shown.out + shown.err == ""


def test_a_connection_that_was_lost_is_made_anew_without_a_word(spark, capfd, caplog, monkeypatch):
    """A process forked from this one closes the connections of our other threads; py4j tells the root logger of it."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(sys.stderr)])
    caplog.set_level(logging.INFO)
    client = cluster._running[0].session.sparkContext._gateway._gateway_client
    client.get_thread_connection().socket.shutdown(socket.SHUT_RDWR)
    assert spark.query("SELECT 1 AS a")["a"].to_pylist() == [1]
    root.info("ours")
    assert capfd.readouterr().err == "ours\n"


def test_runs_do_not_see_each_other_s_tables(spark):
    spark.register("mine", pa.table({"a": [1]}))
    with Spark() as other, pytest.raises(ScanFailed):
        other.query("SELECT a FROM mine")


def test_pieces_are_translated_wherever_they_stand():
    dialect = Spark.dialect
    inner = dialect.days_between('"b"', '"a"')
    moved = dialect.day_plus('"a"', "-", inner)
    text = translated(f"SELECT {moved} AS x FROM t")
    assert "IPIS" not in text
    assert text.count("DATEDIFF") == 1
    assert "ANY_VALUE" not in translated("SELECT ANY_VALUE(a) AS x FROM t")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [("sys.modules['pyspark'] = None", "engine.no_spark"), ("os.environ.update(PATH='/nowhere', JAVA_HOME='/nowhere')", "engine.no_java")],
)  # fmt: skip
def test_what_is_missing_is_named_with_what_to_install(spoil, code):
    program = f"""
import os, sys
{spoil}
from ipis.kernel.errors import Misuse
from ipis.validation.engines import engine_named
try:
    engine_named("spark")
except Misuse as error:
    print(error.code, error.render("nb").do)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(code)
    assert "--engine duckdb" in answer.stdout


STARTED = """
import os, signal, sys
from ipis.validation.engines import cluster, engine_named
engine_named("spark").close()
child = os.fork()
if not child:
    signal.pause()
(running,) = cluster._running
print(running.java.pid, running.folder, child, flush=True)
sys.stdin.readline()
"""
"""Starts Java and forks a child, which lives on; ends in order when it reads a line."""


def ended(process, within=120.0):
    """Wait until a process has ended, whoever is its parent by then, and whether or not that one buries it."""
    return bool(select.select([process], [], [], within)[0])


@pytest.fixture
def watched():
    """Watch processes that are not our children."""
    with ExitStack() as opened:

        def watch(pid):
            process = os.pidfd_open(int(pid))
            opened.callback(os.close, process)
            return process

        yield watch


@pytest.mark.parametrize("ending", ["in order", "killed"])
def test_java_never_outlives_the_process_nor_do_its_folders(ending, tmp_path, watched):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    program = subprocess.Popen([sys.executable, "-c", STARTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)  # fmt: skip
    pid, folder, forked = program.stdout.readline().split()
    java, child = watched(pid), watched(forked)
    assert Path(folder).is_relative_to(tmp_path)
    if ending == "in order":
        program.stdin.write("\n")
        program.stdin.flush()
    else:
        program.send_signal(signal.SIGKILL)
    # The forked child still lives, and keeps Java neither alive nor from ending.
    program.wait(120)
    assert ended(java)
    assert not ended(child, within=0)
    left = sorted(tmp_path.glob(f"{cluster.PREFIX}*"))
    assert left == ([] if ending == "in order" else [Path(folder)])
    os.kill(int(forked), signal.SIGKILL)
    assert ended(child)
    assert program.communicate()[0] == ""
    made = cluster.held_folder(tmp_path)
    assert sorted(tmp_path.glob(f"{cluster.PREFIX}*")) == [made]


def test_a_folder_that_somebody_holds_or_that_is_not_ours_is_left_alone(tmp_path):
    held = cluster.held_folder(tmp_path)
    coming, stray = tmp_path / f"{cluster.PREFIX}coming", tmp_path / "other"
    for folder in (coming, stray):
        folder.mkdir()
    left = tmp_path / f"{cluster.PREFIX}left"
    left.mkdir()
    (left / "held").touch()
    made = cluster.held_folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([held, coming, stray, made])
    with (held / "held").open("r+") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
