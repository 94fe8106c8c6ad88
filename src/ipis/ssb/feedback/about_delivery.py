"""Rules about a whole delivery that are code and run at SSB: same content again (K014), sealed contact (K016, K017).

The catalogue says whether a year has them and where they run; without its entry a rule makes no finding here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from ipis.kernel.contact import contact_faults
from ipis.validation import rulebook
from ipis.validation.catalogue import Kind
from ipis.validation.findings import FINDINGS

if TYPE_CHECKING:
    from ipis.kernel.collection import Collection
    from ipis.kernel.contact import Contact
    from ipis.ssb.register.models import Delivery

_SAME_CONTENT = "K014"
_HERE = "S"


def judge_delivery(delivery: Delivery, contact: Contact | None, collection: Collection) -> pa.Table:
    """Give the findings about a delivery as a whole (FINDINGS): of record `uttrekk`, no row, no field.

    A contact that is gone or cannot be opened is not judged. Nothing of a contact stands in a finding.
    """
    breached: dict[str, str | None] = {}
    if delivery.same_content_as is not None:
        breached[_SAME_CONTENT] = str(delivery.same_content_as.sequence)
    if contact is not None:
        breached |= dict.fromkeys(contact_faults(contact, collection.contact))
    rules = rulebook.of(collection).rules
    found = [
        {"rule": name, "record": collection.layout.header.name, "row": None, "field": "", "value": value, "shown": None}
        for name, value in breached.items()
        if name in rules and rules[name].kind is Kind.CODE and _HERE in rules[name].runs_at
    ]
    return pa.Table.from_pylist(found, schema=FINDINGS)
