"""Definition folders: bytes by name, whatever they come from, and no name that leads out."""

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
