"""The worked examples of K014: a delivery with the content of an earlier one of the same sender."""

from types import SimpleNamespace

import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.ssb.feedback.about_delivery import judge_delivery
from ipis.validation import rulebook

DRAWN = [
    pytest.param(packaged("iplos", year), kind, example, id=f"{year}-{kind}-{place}")
    for year in packaged_years("iplos")
    for kind, examples in rulebook.of(packaged("iplos", year)).rules["K014"].examples.items()
    for place, example in enumerate(examples)
]


@pytest.mark.parametrize(("collection", "kind", "example"), DRAWN)
def test_an_example_of_k014_is_judged_as_it_says(collection, kind, example):
    sequence = example["same_content_as"]
    earlier = None if sequence is None else SimpleNamespace(sequence=sequence)
    found = judge_delivery(SimpleNamespace(same_content_as=earlier), None, collection)
    assert found["rule"].to_pylist() == (["K014"] if kind == "breaks" else [])
    assert found["value"].to_pylist() == ([str(sequence)] if kind == "breaks" else [])
