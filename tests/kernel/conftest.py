"""A small forsendelse of Testvik, packed once for all tests that read it; who spoils it writes a copy."""

import pytest
from tests.kernel import parcel_cast as cast


@pytest.fixture(scope="session")
def keys():
    return cast.Keys.make()


@pytest.fixture(scope="session")
def real(tmp_path_factory, keys):
    """A real forsendelse in one file."""
    return cast.packed(tmp_path_factory.mktemp("real"), keys)[0]


@pytest.fixture(scope="session")
def layout():
    return cast.layout()
