"""The contact of a forsendelse: whom the feedback worker writes to, and the secrets that close the feedback."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ipis.kernel import canonical, fields
from ipis.kernel.collection import ContactRules
from ipis.kernel.secret import Secret


@dataclass(frozen=True, slots=True)
class Contact:
    """What `contact.json` holds; PIN and code are secrets."""

    email: str
    phone: str | None
    pin: Secret
    feedback_code: Secret | None
    language: str

    def to_bytes(self) -> bytes:
        """Write the canonical JSON: to be sealed at once, in memory only."""
        return canonical.dumps(
            {
                "email": self.email,
                "phone": self.phone,
                "pin": self.pin.reveal(),
                "feedback_code": None if self.feedback_code is None else self.feedback_code.reveal(),
                "language": self.language,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Contact:
        """Read the canonical JSON."""
        read = fields.Reader(canonical.loads(data, what="contact.json", max_bytes=1 << 14), "contact.json")
        read.only({"email", "phone", "pin", "feedback_code", "language"})
        code = read.maybe("feedback_code", "[0-9A-HJKMNP-TV-Z]{12}")
        return cls(
            email=read.free("email", 254),
            phone=None if read.values["phone"] is None else read.free("phone", 20),
            pin=Secret(read.free("pin", 100)),
            feedback_code=None if code is None else Secret(code),
            language=read.text("language", "nb|nn|en"),
        )


def contact_faults(contact: Contact, rules: ContactRules) -> tuple[str, ...]:
    """Judge a contact by the year's rules, the same at the municipality and at SSB: K016 (e-mail), K017 (telephone)."""
    faults = []
    if not re.fullmatch(rules.email.pattern, contact.email, re.ASCII):
        faults.append("K016")
    if rules.phone.asked and not re.fullmatch(rules.phone.pattern, _digits(contact.phone), re.ASCII):
        faults.append("K017")
    return tuple(faults)


def _digits(phone: str | None) -> str:
    """Look through the spaces that people write in telephone numbers."""
    return re.sub(r"[ \u00a0]", "", phone or "")
