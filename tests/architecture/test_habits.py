"""Habits that a linter does not see: who reads the environment, skipped tests, swallowed errors, waiting by sleep."""

import ast
import re

import pytest
from tests.architecture.source import ROOT, dotted, plant, sources

# Settings are built once at start and passed in; everybody else is told. The demo hands its processes a cleaned copy.
READS_ENVIRONMENT = {
    "src/ipis/lib/settings.py",
    "src/ipis/kommune/settings.py",
    "src/ipis/__main__.py",
    "src/ipis/local/parties.py",
}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "environ", "getenv"}
SKIPS = {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip", "unittest.skip"}
SLEEPS = {"time.sleep", "sleep"}
IGNORES_TYPES = re.compile(r"#\s*type:\s*ignore(?!\[)")


def environment_reads(root):
    for source in sources(root, "src"):
        if source.name in READS_ENVIRONMENT:
            continue
        for node in ast.walk(source.tree):
            if dotted(node) in ENVIRONMENT and not isinstance(getattr(node, "ctx", None), ast.Store):
                yield f"{source.at(node)}: {dotted(node)}"
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                yield from (f"{source.at(node)}: os.{a.name}" for a in node.names if a.name in ENVIRONMENT)


def skipped_tests(root):
    for source in sources(root, "tests"):
        for node in ast.walk(source.tree):
            if dotted(node) in SKIPS:
                yield f"{source.at(node)}: {dotted(node)}"


def swallowed_errors(root):
    """Find handlers without a kind, and handlers of everything whose only answer is silence."""
    for source in sources(root, "src", "tools", "tests"):
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            silent = all(isinstance(part, ast.Pass) or _is_ellipsis(part) for part in node.body)
            if node.type is None or (silent and dotted(node.type) in {"Exception", "BaseException"}):
                yield source.at(node)


def sleeps(root):
    for source in sources(root, "src"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and dotted(node.func) in SLEEPS:
                yield source.at(node)


def ignored_types(root):
    for source in sources(root, "src", "tools"):
        for number, line in enumerate(source.text.splitlines(), start=1):
            if IGNORES_TYPES.search(line):
                yield f"{source.name}:{number}"


def _is_ellipsis(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


CHECKS = [environment_reads, skipped_tests, swallowed_errors, sleeps, ignored_types]


@pytest.mark.parametrize("check", CHECKS)
def test_the_repository_keeps(check):
    assert list(check(ROOT)) == []


BREACHES = [
    (environment_reads, "src/ipis/ssb/x.py", "import os\nurl = os.environ['URL']\n"),
    (environment_reads, "src/ipis/ssb/x.py", "import os\nurl = os.getenv('URL')\n"),
    (environment_reads, "src/ipis/ssb/x.py", "\nfrom os import environ\n"),
    (
        skipped_tests,
        "tests/peers/test_x.py",
        "import pytest\n@pytest.mark.skipif(True, reason='no age here')\ndef t(): ...\n",
    ),
    (skipped_tests, "tests/peers/test_x.py", "import pytest\npytest.importorskip('pyspark')\n"),
    (swallowed_errors, "src/ipis/ssb/x.py", "try: f()\nexcept: log()\n"),
    (swallowed_errors, "src/ipis/ssb/x.py", "try: f()\nexcept Exception: pass\n"),
    (sleeps, "src/ipis/ssb/x.py", "import time\ntime.sleep(1)\n"),
    (ignored_types, "src/ipis/ssb/x.py", "\nf()  # type: ignore\n"),
]


@pytest.mark.parametrize(("check", "name", "text"), BREACHES)
def test_a_breach_is_found(check, name, text, tmp_path):
    found = list(check(plant(tmp_path, {name: text})))
    assert [place.split(": ")[0] for place in found] == [f"{name}:2"]


def test_the_doors_may_read_the_environment(tmp_path):
    plant(tmp_path, dict.fromkeys(READS_ENVIRONMENT, "import os\nos.environ\n"))
    assert list(environment_reads(tmp_path)) == []
