"""The way to SSB: every member put where SSB names it, then a signed list of them; SSB's 202 means durable over there.

All of it may be done again after a crash or a silence: members are named by forsendelse, the list is written once.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import httpx2
from django.db import transaction

from ipis.kernel.canonical import sha256
from ipis.kernel.errors import Refused, TryLater
from ipis.kernel.messages import FORWARD as NAMESPACE
from ipis.kernel.messages import File, Forward, Put
from ipis.lib.log import get_logger
from ipis.tpf import notices
from ipis.tpf.arrival import folder
from ipis.tpf.faultpoint import reach
from ipis.tpf.models import Audit, Forsendelse, Job, Part, ReceiptRow, Step
from ipis.tpf.transitions import ParcelState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ipis.tpf.bench import Bench

_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_CHUNK: Final = 1 << 20
_REFUSALS: Final = (409, 413, 422)
_FORWARDED_RECEIPTS: Final = ("R1", "R2")


def write_forward(parcels: Sequence[Forsendelse], bench: Bench) -> None:
    """Write and sign forward.json into the rows, within the caller's transaction; the caller saves."""
    members: dict[int, list[File]] = defaultdict(list)
    for part in Part.objects.filter(forsendelse__in=parcels, deleted_at=None):
        members[part.forsendelse_id].append(File(part.name, part.size, part.sha256))
    for row in ReceiptRow.objects.filter(forsendelse__in=parcels, kind__in=_FORWARDED_RECEIPTS):
        files = _files_of(row).items()
        members[row.forsendelse_id] += [File(name, len(content), sha256(content)) for name, content in files]
    for parcel in parcels:
        parcel.forward = _forward(parcel, members[parcel.pk], bench).to_bytes()
        parcel.forward_signature = bench.forward.sign(parcel.forward, NAMESPACE).decode()


def _forward(parcel: Forsendelse, members: Sequence[File], bench: Bench) -> Forward:
    return Forward(
        environment=bench.settings.environment,
        forsendelse=parcel.identifier,
        register=parcel.register,
        year=parcel.year,
        kommune=parcel.enrolment.kommune,
        bydel=parcel.enrolment.bydel,
        orgnr=parcel.enrolment.orgnr,
        sequence=parcel.sequence,
        manifest_sha256=parcel.manifest_sha256,
        phase=parcel.phase,
        received_at=parcel.arrived_at,
        pin_generation=parcel.pin_generation,
        sender=parcel.sender_key,
        key_version=parcel.key_version,
        key_check=parcel.key_check,
        members=tuple(sorted(members, key=lambda member: member.name)),
    )


def forward_step(job: Job, bench: Bench) -> None:
    """Hand one forsendelse to SSB; raises TryLater (tpf.ssb_silent) as long as SSB does not answer."""
    parcel = Forsendelse.objects.select_related("enrolment").get(pk=job.subject)
    if parcel.state != ParcelState.ERASED or parcel.problem_code:
        with transaction.atomic():
            job.finish()
        return
    try:
        _send(parcel, bench)
    except httpx2.HTTPError as error:
        get_logger().info("ssb does not answer", error=type(error).__name__)
        raise TryLater("tpf.ssb_silent") from error
    except Refused as error:
        _note_refusal(job, parcel, error, bench)
        return
    reach(bench.settings, "forward:answered")
    with transaction.atomic():
        parcel.go(ParcelState.FORWARDED)
        parcel.save()
        Audit.append("forwarded", parcel.identifier, actor="worker", sha256=sha256(bytes(parcel.forward or b"")))
        Job.queue(Step.CLEAR, str(parcel.pk))
        job.finish()
    reach(bench.settings, "forward:committed")


def _send(parcel: Forsendelse, bench: Bench) -> None:
    forward = Forward.parse(bytes(parcel.forward or b""))
    small, where = _receipts(parcel), folder(bench.settings, parcel)
    place = f"{bench.settings.ssb_url.rstrip('/')}/api/v1/inntak/{parcel.identifier}"
    with open_line() as client:
        for member in forward.members:
            url = httpx2.URL(f"{place}/{member.name}")
            signed = Put(url.path, member.sha256, member.size).sign(bench.forward)
            headers = {"Content-Length": str(member.size), "Ipis-SHA256": member.sha256, **signed}
            content = small.get(member.name)
            body = content if content is not None else _chunks(where / member.name)
            _check(client.put(url, content=body, headers=headers))
            reach(bench.settings, "forward:half")
        note = {
            "forward": base64.b64encode(forward.to_bytes()).decode(),
            "signature": parcel.forward_signature,
        }
        answer = client.post(place, json=note)
        _check(answer)
        if answer.status_code != httpx2.codes.ACCEPTED:
            raise TryLater("tpf.ssb_silent")


def open_line() -> httpx2.Client:
    """Open a line to SSB: no proxy of the environment, no redirects."""
    return httpx2.Client(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)


def _check(answer: httpx2.Response) -> None:
    """Tell a refusal for good from a fault that will pass."""
    if answer.status_code in _REFUSALS:
        raise Refused("tpf.ssb_refused", reason=_code(answer))
    if not answer.is_success:
        get_logger().warning("ssb answers with a fault", status=answer.status_code)
        raise TryLater("tpf.ssb_silent")


def _code(answer: httpx2.Response) -> str:
    """Read the code of a problem; what SSB wrote beside it is not passed on."""
    try:
        code = answer.json().get("code", "")
    except (ValueError, AttributeError):
        return "?"
    return code[:80] if isinstance(code, str) and code.replace(".", "").replace("_", "").isalnum() else "?"


def _note_refusal(job: Job, parcel: Forsendelse, error: Refused, bench: Bench) -> None:
    """End a forsendelse that SSB does not take; its other parts are deleted next."""
    with transaction.atomic():
        parcel.note_problem(error)
        parcel.save()
        Audit.append("refused_by_ssb", parcel.identifier, actor="worker", code=str(error.params["reason"]))
        notices.refused(parcel.enrolment, f"parcel-{parcel.pk}", bench)
        Job.queue(Step.CLEAR, str(parcel.pk))
        job.finish()


def _receipts(parcel: Forsendelse) -> dict[str, bytes]:
    """Give R1 and R2 with their signatures as the files that go along."""
    files: dict[str, bytes] = {}
    for row in parcel.receipts.filter(kind__in=_FORWARDED_RECEIPTS):
        files |= _files_of(row)
    return files


def _files_of(row: ReceiptRow) -> dict[str, bytes]:
    signed = row.signed
    return {f"{row.kind}.json": signed.data, f"{row.kind}.json.sig": signed.signature}


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
