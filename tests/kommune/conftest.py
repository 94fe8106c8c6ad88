"""Testvik's desk in the municipality: the same pack and keys for all tests, a fresh folder and keyring for each."""

from dataclasses import replace

import pytest
from tests.kommune import testvik


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return testvik.desk(tmp_path_factory.mktemp("desk") / "shared")


@pytest.fixture
def desk(shared, tmp_path):
    return replace(shared, folder=tmp_path, keyring=tmp_path / "keyring")
