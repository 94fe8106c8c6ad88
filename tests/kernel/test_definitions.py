"""Definition folders: bytes by name, whatever they come from, and no name that leads out."""

import os
from pathlib import Path

import pytest
from tests.kernel.years import PACKAGE, copied_folder

from ipis.kernel.definitions import DefinitionFolder, packaged_years
from ipis.kernel.errors import DefinitionRefused


def test_a_folder_on_disk_and_in_the_package_are_the_same():
    packed = DefinitionFolder.packaged("iplos", 2017)
    on_disk = DefinitionFolder.from_path(PACKAGE / "iplos" / "2017")
    from_pack = DefinitionFolder.from_members(dict(packed))
    assert dict(packed) == dict(on_disk) == dict(from_pack)
    assert len(packed) == len(list(packed)) > 10
    assert list(packed) == sorted(packed)


def test_the_years_of_the_package_are_listed_and_no_others_exist():
    assert packaged_years("iplos") == (2016, 2017)
    assert packaged_years("../iplos") == packaged_years("kostra") == ()
    with pytest.raises(DefinitionRefused) as refused:
        DefinitionFolder.packaged("iplos", 2015)
    assert refused.value.code == "collection.unknown"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a//b", "a/../b", "a\\b", "./a"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name):
    with pytest.raises(DefinitionRefused) as refused:
        DefinitionFolder.from_members({name: b""})
    assert refused.value.code == "collection.member_name"


def test_hidden_files_are_not_definitions(tmp_path):
    folder = copied_folder(tmp_path, 2099)
    (folder / ".DS_Store").write_bytes(b"x")
    assert ".DS_Store" not in DefinitionFolder.from_path(folder)


def test_members_below_a_folder_are_found_by_their_whole_names():
    folder = DefinitionFolder.packaged("iplos", 2017)
    assert set(folder.under("codes/", "kommuner.csv")) == {"codes/kommuner.csv"}
    assert folder.under("codes/", ".yaml") == {}
    assert "population_kommune.csv" in DefinitionFolder.shared("geography")


def _refused(folder, **asked):
    with pytest.raises(DefinitionRefused) as refused:
        DefinitionFolder.from_path(folder, **asked)
    assert "{" not in refused.value.render("nb").found
    return refused.value.code, refused.value.params["member"]


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path):
    (tmp_path / "rules").mkdir()
    odd = tmp_path / "rules" / "x.yaml"
    for make in (
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("x.yaml"),
        lambda path: path.symlink_to("nowhere"),
    ):
        make(odd)
        assert _refused(tmp_path) == ("collection.odd_member", "rules/x.yaml")
        odd.rmdir() if odd.is_dir() else odd.unlink()
    (tmp_path / "rules" / "again").symlink_to(tmp_path)
    assert _refused(tmp_path) == ("collection.odd_member", "rules/again")


@pytest.mark.parametrize(("name", "size"), [("rules/x.yaml", 5 << 20), ("codes/x.csv", 33 << 20)])
def test_a_file_beyond_any_sense_is_refused_unread(tmp_path, name, size):
    file = tmp_path / name
    file.parent.mkdir()
    with file.open("wb") as written:
        written.truncate(size)
    assert _refused(tmp_path) == ("collection.too_big", name)


def test_only_what_is_asked_for_is_looked_at(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "x.yaml").write_bytes(b"[]")
    (tmp_path / "data").mkdir()
    os.mkfifo(tmp_path / "data" / "odd")
    assert _refused(tmp_path) == ("collection.odd_member", "data/odd")
    assert list(DefinitionFolder.from_path(tmp_path, only={"rules"})) == ["rules/x.yaml"]
