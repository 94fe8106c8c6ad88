"""A file is read in one sitting and a function fits a screen."""

import ast

from tests.architecture.source import ROOT, plant, sources

LARGEST_FILE = 500
LARGEST_FUNCTION = 60


def too_long(root):
    for source in sources(root, "src", "tools", "tests", "bench"):
        lines = source.text.count("\n")
        if lines > LARGEST_FILE:
            yield f"{source.name}: {lines} lines"
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = node.end_lineno - node.lineno + 1
                if length > LARGEST_FUNCTION:
                    yield f"{source.at(node)}: {node.name} has {length} lines"


def test_no_file_and_no_function_is_too_long():
    assert list(too_long(ROOT)) == []


def test_a_long_file_and_a_long_function_are_found(tmp_path):
    body = "".join(f"    x{n} = {n}\n" for n in range(LARGEST_FUNCTION))
    plant(
        tmp_path,
        {
            "src/ipis/god.py": "\n" * (LARGEST_FILE + 1),
            "src/ipis/dense.py": f"def all_of_it():\n{body}",
            "src/ipis/tpf/migrations/0001_initial.py": "\n" * (LARGEST_FILE + 1),
            "src/ipis/fits.py": "\n" * LARGEST_FILE,
        },
    )
    assert list(too_long(tmp_path)) == [
        "src/ipis/dense.py:1: all_of_it has 61 lines",
        "src/ipis/god.py: 501 lines",
    ]
