"""The feedback worker in this process, and what a municipality would see of what it made."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime

import pytest
import pyzipper
from tests.ssb.conftest import make_pack
from tests.ssb.fake_tpf import PIN, YEAR

from ipis.kernel.definitions import DefinitionFolder
from ipis.kernel.receipt import Kind, SignedReceipt


def worker(room, **changes):
    """Give the feedback worker as `ipis ssb work` makes it, its steps run in this process."""
    from ipis.lib.jobs import Worker
    from ipis.ssb.feedback import steps
    from ipis.ssb.keys import feedback_keys
    from ipis.ssb.register.models import Job

    settings = room.model_copy(update=changes)
    keys = feedback_keys(settings)
    return Worker(jobs=Job, steps=steps.steps(settings, keys), ticks=steps.ticks(settings, keys)[:1])


CODE_RULES = {"K014": "advarsel", "K016": "feil", "K017": "advarsel"}


@pytest.fixture
def packed(room, tpf):
    """Put another season pack in place, and the shipped one back afterwards."""
    kept = {path: path.read_bytes() for path in room.pack.glob("*.sesong")}

    def pack(*, changed=None, more=None, version=1):
        shipped = DefinitionFolder.packaged("iplos", YEAR)
        folder = {name: without_code_rules(name, content) for name, content in shipped.items()} | (more or {})
        for name, (old, new) in (changed or {}).items():
            assert old in folder[name]
            folder[name] = folder[name].replace(old, new)
        make_pack(room, tpf, YEAR, definitions=DefinitionFolder.from_members(folder), version=version)

    yield pack
    for path, content in kept.items():
        path.write_bytes(content)


def without_code_rules(name, content):
    """A shipped file less the entries that `code_rules` writes: a rule stands once in a folder."""
    if not name.startswith("rules/"):
        return content
    records = re.split(r"(?m)^(?=- id: )", content.decode())
    return "".join(record for record in records if record[6:10] not in CODE_RULES).encode()


def tilbakemeldinger(**wished):
    """Rows of what was made, in order."""
    from ipis.ssb.feedback.models import Tilbakemelding

    return list(Tilbakemelding.objects.filter(**wished).order_by("id"))


def jobs(kind):
    """(subject, state, problem) of every job of a kind, in order."""
    from ipis.ssb.register.models import Job

    return list(Job.objects.filter(kind=kind).order_by("id").values_list("subject", "state", "problem"))


def due_now():
    """Let every waiting job be tried at once: real time is not what these tests are about."""
    from ipis.ssb.register.models import Job

    Job.objects.update(next_try_at=None)


def give_back(dead):
    """Give back what a dead worker held, as the sweep does when its lease has run out."""
    from ipis.lib.jobs import JobState
    from ipis.ssb.register.models import Job

    Job.objects.filter(state=JobState.RUNNING, claimed_by=dead.name).update(state=JobState.QUEUED, claimed_by="")


def closed(room, one):
    """The zip as it waits for the portal."""
    return (room.data / "utgaaende" / one.push / one.name).read_bytes()


def opened(data, password=PIN):
    """What the municipality finds in a zip."""
    with pyzipper.AESZipFile(io.BytesIO(data)) as archive:
        archive.setpassword(password.encode())
        return {name: archive.read(name) for name in archive.namelist()}


def listed(files):
    """The rows of the feilliste."""
    return list(csv.DictReader(io.StringIO(files["feilliste.csv"].decode("utf-8-sig")), delimiter=";"))


def about(files):
    return json.loads(files["om.json"])


def r4(room, one):
    """The receipt that lies beside the zip, as signed."""
    folder = room.data / "utgaaende" / one.push
    signed = SignedReceipt(
        (folder / f"{one.name}.kvittering").read_bytes(), (folder / f"{one.name}.kvittering.sig").read_bytes()
    )
    assert signed.receipt.kind is Kind.R4
    return signed


def code_rules(runs_at="S"):
    """Catalogue entries of the rules about a whole delivery, as a definition folder would hold them."""
    texts = "".join(
        f"    {lang}: {{found: 'funnet {{v}}', expected: 'ventet', do: 'gjør'}}\n" for lang in ("nb", "nn", "en")
    )
    return "".join(
        f"- id: {name}\n  record: uttrekk\n  kind: code\n  scope: delivery\n  level: {level}\n  effect: behold\n"
        f"  runs_at: {runs_at}\n  message:\n{texts}"
        for name, level in CODE_RULES.items()
    ).encode()


def at(*parts):
    """An instant of Norwegian time."""
    from ipis.kernel.calendar import OSLO

    return datetime(*parts, tzinfo=OSLO)
