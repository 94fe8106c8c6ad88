"""A new collection year is a new folder of definitions and no change of code."""

import re

from tests.architecture.source import ROOT, plant, sources

YEAR = re.compile(r"(?<!\d)201[67](?!\d)")


def years_in_code(root):
    for source in sources(root, "src"):
        if "definitions" in source.path.relative_to(root).parts:
            continue
        for number, line in enumerate(source.text.splitlines(), start=1):
            if YEAR.search(line):
                yield f"{source.name}:{number}"


def test_no_collection_year_stands_in_code():
    assert list(years_in_code(ROOT)) == []


def test_a_year_in_code_is_found_wherever_it_hides(tmp_path):
    plant(
        tmp_path,
        {
            "src/ipis/ssb/choice.py": "if year == 2017:\n    rules = 'iplos/2016'\n",
            "src/ipis/definitions/iplos/window.py": "YEAR = 2017\n",
            "src/ipis/kernel/key.py": "block = 120167\n",
        },
    )
    assert list(years_in_code(tmp_path)) == ["src/ipis/ssb/choice.py:1", "src/ipis/ssb/choice.py:2"]
