"""The municipalities' side: every extract read, checked and sealed in one process, as `ipis kommune seal` does it."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from bench.nation.ground import Ground
from bench.nation.oracle import TOLD, write_told
from bench.nation.stopwatch import Report, Stopwatch, moment, peaks

STAGES = {
    "ipis.kommune.extract:read": "parse",
    "ipis.kommune.extract:judge_identities": "identity numbers",
    "ipis.kommune.extract:refuse_identity_numbers": "own numbers elsewhere",
    "ipis.kommune.precheck:validate": "rules",
    "ipis.kommune.seal:prepare": "keys and sorting",
    "ipis.kernel.packing:_piece": "parquet",
    "ipis.kernel.packing:content_sha256": "content hash",
    "ipis.kernel.packing:seal_container": "age and SHA-256",
    "ipis.kernel.packing:_write_files": "container and signature",
    "ipis.kommune.seal:seal_prepared": "seal, rest",
    "ipis.kommune.keyring:Keyring.trust": "keyring",
    "ipis.kommune.keyring:Keyring.add": "keyring",
    "ipis.kommune.keyring:Keyring.sender_key": "keyring",
    "ipis.kommune.keyring:Keyring.note_signer": "keyring",
    "ipis.kommune.precheck:run": "check, rest",
}


def main(ground: Ground, *, proved: bool) -> None:
    """Check and seal all, and tell of it; `proved`: also write down what was found, for the oracle."""
    began = moment()
    from ipis.kernel.contact import Contact
    from ipis.kernel.demo import demo_pin
    from ipis.kernel.forsendelse import Limits
    from ipis.kernel.seasonpack import SeasonPack
    from ipis.kernel.secret import Secret
    from ipis.kommune import precheck, seal
    from ipis.kommune.keyring import Keyring
    from ipis.kommune.told import told

    season = SeasonPack.load(ground.pack)
    started = moment()
    watch = Stopwatch()
    watch.watch(STAGES)
    rows: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    refused: list[str] = []
    with watch.stage("rest"):
        for place in ground.places():
            home, kommune = ground.parcels / place, place[:4]
            ring = Keyring.open(home / "keyring")
            ring.trust(season)
            (home / "sender.pub").write_text(ring.sender_key(season.environment).public.openssh, encoding="ascii")
            checked = precheck.run(ground.extract_of(place), season)
            rows.update({name: table.num_rows for name, table in checked.clear.extract.tables.items()})
            findings.update(checked.report.findings.count_by_rule())
            if proved:
                write_told(home / TOLD, told(checked, season.collection, "nb").table.to_pylist())
            if checked.outcome is precheck.Outcome.REFUSED:
                refused.append(place)
                continue
            pin = Secret(demo_pin(season.successor_of(kommune)))
            contact = Contact(f"faglig@k{kommune}.kommune.test", "90000000", pin, None, "nb")
            wish = seal.Wish(contact, home / f"{place}.forsendelse", None, Limits(None, None))
            seal.seal_prepared(seal.prepare(checked.clear, season.collection.layout), season, ring, wish)
    ended = moment()
    bytes_read = sum(ground.extract_of(place).stat().st_size for place in ground.places())
    Report(
        name="municipalities",
        wall=ended[0] - started[0],
        cpu=ended[1] - started[1],
        peak=peaks("municipalities"),
        stages=dict(watch.spans),
        facts={
            "start": started[0] - began[0],
            "rows": dict(rows),
            "findings": dict(findings),
            "refused": refused,
            "bytes": bytes_read,
        },
    ).save(ground.report("municipalities"))


if __name__ == "__main__":
    main(Ground(Path(sys.argv[1]), int(sys.argv[2])), proved="proved" in sys.argv[3:])
