"""What is made of a definition folder is made once for each content of it, and a few contents are kept."""

import pytest
from tests.kernel.years import members

from ipis.kernel.collection import load, packaged
from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.errors import DefinitionRefused
from ipis.kernel.read_once import KEPT, ReadOnce


class Reader:
    """Reads a collection's remark, and counts how often it was asked to."""

    def __init__(self):
        self.times = 0

    def __call__(self, collection):
        self.times += 1
        remark = collection.folder["remark.txt"]
        if not remark:
            raise DefinitionRefused("collection.member_missing", member="remark.txt", folder=collection.folder.origin)
        return [remark]


@pytest.fixture
def reader():
    return Reader()


@pytest.fixture(scope="module")
def definitions():
    return members()


def remarked(definitions, remark, origin="season pack"):
    return load(DefinitionFolder.from_members(definitions | {"remark.txt": remark}, origin))


def test_the_same_content_is_read_once_wherever_it_comes_from(reader, definitions):
    read = ReadOnce(reader)
    first = read(remarked(definitions, b"seen"))
    assert read(remarked(definitions, b"seen", origin="elsewhere")) is first
    assert (first, reader.times) == ([b"seen"], 1)


def test_another_content_is_read_anew_and_the_first_stays(reader, definitions):
    read = ReadOnce(reader)
    first = read(remarked(definitions, b"seen"))
    assert read(remarked(definitions, b"mended")) == [b"mended"]
    assert read(remarked(definitions, b"seen")) is first
    assert reader.times == 2


def test_what_was_read_first_is_let_go_when_there_are_too_many(reader, definitions):
    read = ReadOnce(reader)
    contents = [remarked(definitions, b"%d" % number) for number in range(KEPT + 1)]
    kept = [read(content) for content in contents]
    assert all(read(content) is made for content, made in zip(contents[1:], kept[1:], strict=True))
    assert reader.times == KEPT + 1
    assert read(contents[0]) is not kept[0]


def test_a_refused_content_is_not_kept_and_pushes_nothing_out(reader, definitions):
    read = ReadOnce(reader)
    contents = [remarked(definitions, b"%d" % number) for number in range(KEPT)]
    kept = [read(content) for content in contents]
    for _ in range(2):
        with pytest.raises(DefinitionRefused):
            read(remarked(definitions, b""))
    assert [read(content) for content in contents] == kept
    assert reader.times == KEPT + 2


def test_readers_of_one_content_do_not_mix(definitions):
    content = remarked(definitions, b"seen")
    assert ReadOnce(lambda _: 1)(content) + ReadOnce(lambda _: 2)(content) == 3


def test_the_digest_tells_contents_apart_by_name_and_bytes():
    def digest(**members):
        return DefinitionFolder.from_members({name: content.encode() for name, content in members.items()}).digest

    assert digest(a="xy", b="") == digest(b="", a="xy")
    assert len({digest(a="xy", b=""), digest(a="x", b="y"), digest(b="xy", a=""), digest(a="xy"), digest()}) == 5
    assert packaged("iplos", 2017).folder.digest == DefinitionFolder.from_members(members()).digest
