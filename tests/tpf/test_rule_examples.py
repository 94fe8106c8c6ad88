"""The worked examples of K009: a parcel of another municipality or district than the one that logged in."""

from types import SimpleNamespace

import pytest

from ipis.kernel.collection import packaged
from ipis.kernel.definitions import packaged_years
from ipis.kernel.errors import ParcelRefused
from ipis.tpf import admission
from ipis.validation import rulebook

ORGNR = "974760673"
DRAWN = [
    pytest.param(kind, example, id=f"{year}-{kind}-{place}")
    for year in packaged_years("iplos")
    for kind, examples in rulebook.of(packaged("iplos", year)).rules["K009"].examples.items()
    for place, example in enumerate(examples)
]


@pytest.mark.parametrize(("kind", "example"), DRAWN)
def test_an_example_of_k009_is_judged_as_it_says(kind, example):
    offer = SimpleNamespace(manifest=SimpleNamespace(facts=SimpleNamespace(orgnr=ORGNR, **example["parcel"])))
    login = SimpleNamespace(orgnr=ORGNR, **example["login"])
    if kind == "passes":
        admission._check_login(offer, login)
        return
    with pytest.raises(ParcelRefused) as refused:
        admission._check_login(offer, login)
    assert refused.value.rule == "K009"
