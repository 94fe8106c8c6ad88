"""The local Spark cluster of a process: one Java, started when first asked for, that never outlives the process.

Java leaves when its standard input ends, which the system sees to however this process ends; when it ends in order, we
wait for that and remove the cluster's folder. A folder left behind by a process that was killed is removed by the next.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipis.kernel.errors import Misuse

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

PREFIX: Final = "ipis-spark-"
_HELD = "held"
_LEAVES_WITHIN: Final = 15.0
"""Seconds; a Java that has not left by then is killed."""
_QUIET = "rootLogger.level = off\n"
_SETTINGS: Final = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.ansi.enabled": "true",
    # Names of a layout that differ in capitals only are two names.
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.sql.adaptive.enabled": "false",
    # Scans of a hundred rules are one wide projection: past this many fields Spark interprets row by row.
    "spark.sql.codegen.maxFields": "2000",
    # What failed is told as a kind of error; a plan in a message would hold literals.
    "spark.sql.maxPlanStringLength": "0",
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    "spark.sql.catalogImplementation": "in-memory",
}
_TALKATIVE: Final = ("SQLQueryContextLogger", "DataFrameQueryContextLogger", "py4j", "py4j.clientserver")
"""Loggers of pyspark that write an error's whole text, which holds values."""
_ON_THE_ROOT: Final = "py4j"
"""Besides, py4j writes on the process's own logger: connections lost and found again, the terminal's interrupt."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster: its session, its Java and its folder."""

    session: SparkSession
    java: subprocess.Popen[bytes]
    folder: Path


_lock = threading.Lock()
_running: list[Cluster] = []


def joined(cores: int, memory: str) -> Cluster:
    """Start the cluster of this process, once; raises `Misuse` where pyspark or Java is missing."""
    with _lock:
        if not _running:
            _running.append(_start(cores, memory))
        return _running[0]


def _start(cores: int, memory: str) -> Cluster:
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        raise Misuse("engine.no_spark", module=error.name or "pyspark") from None
    for name in _TALKATIVE:
        logging.getLogger(name).disabled = True
    logging.getLogger().addFilter(_ours)
    folder = held_folder()
    settings = _SETTINGS | {
        "spark.driver.memory": memory,
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_quiet(folder)} -Djava.io.tmpdir={folder}",
    }
    conf = SparkConf().setMaster(f"local[{cores}]").setAppName("ipis").setAll(list(settings.items()))
    try:
        gateway = _launched(conf)
    except (PySparkException, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        raise Misuse("engine.no_java") from None
    # Before the context: what pyspark does at the end of the process is done while Java is there.
    atexit.register(_leave, gateway.proc, folder, os.getpid())
    return Cluster(SparkSession(SparkContext(gateway=gateway, conf=conf)), gateway.proc, folder)


def _ours(record: logging.LogRecord) -> bool:
    """Keep what py4j writes on the root logger from the process's log."""
    return Path(record.pathname).parent.name != _ON_THE_ROOT


def _quiet(folder: Path) -> Path:
    made = folder / "log4j2.properties"
    made.write_text(_QUIET, encoding="ascii")
    return made


def _launched(conf: SparkConf) -> Any:
    """Start Java, its words thrown away (they may hold a value), in a session of its own.

    pyspark keeps the terminal's interrupt from Java by a `preexec_fn`: Python that runs in the child between fork and
    exec. In a process in which DuckDB's or Arrow's threads run, a lock held at the fork is never let go there and the
    child hangs or dies. A session of its own keeps the interrupt away as well, without any Python in the child. pyspark
    offers no option for it, so its `Popen` is put aside while it starts Java; a pyspark that no longer gives
    `preexec_fn` fails here, by name.
    """
    from pyspark import java_gateway

    module: Any = java_gateway
    ordinary = module.Popen

    def popen(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        del options["preexec_fn"]
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, start_new_session=True, **{**options, **nowhere})

    module.Popen = popen
    try:
        return module.launch_gateway(conf)
    finally:
        module.Popen = ordinary


def _leave(java: subprocess.Popen[bytes], folder: Path, owner: int) -> None:
    """End Java's input, wait until it has left, and remove the folder; a forked child leaves both to its parent."""
    if os.getpid() != owner:
        return
    if java.stdin is not None:
        java.stdin.close()
    try:
        java.wait(_LEAVES_WITHIN)
    except subprocess.TimeoutExpired:
        java.kill()
        java.wait()
    shutil.rmtree(folder, ignore_errors=True)


def held_folder(parent: Path | None = None) -> Path:
    """Make the cluster's folder, locked as long as this process lives; folders that nobody holds any more are removed.

    A folder just made by another process, not yet locked, has no lock file and is left alone.
    """
    root = Path(tempfile.gettempdir()) if parent is None else parent
    for left in root.glob(f"{PREFIX}*/{_HELD}"):
        _remove_unheld(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    coming = folder / f"{_HELD}.new"
    # Open until the process ends, and locked before it has its name.
    descriptor = os.open(coming, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    coming.rename(folder / _HELD)
    return folder


def _remove_unheld(lock: Path) -> None:
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # Another user's, or gone since it was listed.
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(lock.parent, ignore_errors=True)
    finally:
        os.close(descriptor)


def _after_fork() -> None:
    """Forget the parent's cluster in a forked child: Java answers the parent alone, and its input is not held open."""
    for cluster in _running:
        if cluster.java.stdin is not None:
            cluster.java.stdin.close()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)
