"""What receivers do with a forsendelse in the tests, and what a hostile sender does to one."""

import hashlib
import json

import pytest

from ipis.kernel import container, opening, sealed
from ipis.kernel.canonical import dumps
from ipis.kernel.environment import Environment
from ipis.kernel.errors import IpisError
from ipis.kernel.forsendelse import (
    check_part,
    extract,
    read_container,
    verify,
)
from ipis.kernel.manifest import MANIFEST, NAMESPACE, SIGNATURE


def code_of(call, *args, **kwargs):
    with pytest.raises(IpisError) as caught:
        call(*args, **kwargs)
    assert caught.value.render("nb").expected != "a text for this code in the catalogue"
    return caught.value.code


def receive(path, keys):
    """What TPF does first."""
    parcel = read_container(path)
    verify(parcel, sender=keys.sender.public, environment=Environment.DEMO)
    return parcel


def members_of(path):
    archive = container.Archive(path, path.name)
    return {name: archive.read(name, 1 << 30) for name in archive.names}


def written(folder, members):
    """Write members, in their order, as a container again."""
    path = folder / "changed.forsendelse"
    listed = members.items() if isinstance(members, dict) else members
    container.write(path, [container.Source.of_bytes(name, data) for name, data in listed])
    return path


def resigned(members, keys, change=None):
    """Mend the manifest's sizes and hashes after a change of parts, and sign it: what a hostile sender would do."""
    manifest = json.loads(members[MANIFEST])
    for part in manifest["parts"]:
        if part["name"] in members:
            part |= {"size": len(members[part["name"]]), "sha256": hashlib.sha256(members[part["name"]]).hexdigest()}
    if change:
        change(manifest)
    raw = dumps(manifest)
    return {**members, MANIFEST: raw, SIGNATURE: keys.sender.sign(raw, NAMESPACE)}


def open_all(path, keys, layout, folder):
    """What all receivers together do."""
    parcel = receive(path, keys)
    manifest, facts = parcel.manifest, parcel.manifest.facts
    identities = opening.join_identities(
        [opening.open_identity(parcel.read_part(part), part, facts, keys.tpf) for part in manifest.by_role("identity")]
    )
    parts = []
    for part in manifest.by_role("data"):
        extract(parcel, part.name, folder / part.name)
        check_part(folder / part.name, part)
        staged = sealed.open_to_file(folder / part.name, keys.ssb, folder / f"{part.name}.clear", part=part.name)
        parts.append(opening.read_data_part(staged, part, facts, layout))
    (contact,) = manifest.by_role("contact")
    return (
        identities,
        opening.join_data(parts, layout),
        opening.open_contact(parcel.read_part(contact), contact, facts, keys.feedback),
    )
