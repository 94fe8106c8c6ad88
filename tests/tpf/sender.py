"""A municipality's machine as TPF meets it: sender key, login, and uploads in as many pieces as a test asks for."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from django.test import Client
from tests.tpf import season as cast

from ipis.kernel import messages
from ipis.kernel.demo import demo_orgnr, demo_pin
from ipis.kernel.forsendelse import read_container
from ipis.kernel.signature import SigningKey

TUS = {"Tus-Resumable": "1.0.0"}


@dataclass
class Machine:
    """One municipality, one keyring."""

    season: cast.Season
    folder: Path
    kommune: str
    key: SigningKey = field(default_factory=cast.sender_key)
    http: Client = field(default_factory=Client)
    token: str = ""

    @property
    def fields(self):
        return {
            "kommune": self.kommune,
            "bydel": "00",
            "orgnr": demo_orgnr(self.kommune),
            "pin": demo_pin(self.kommune),
        }

    def try_login(self, *, proof=True, key=None, nonce=None, **changes):
        """Log in; gives the answer."""
        body = self.fields | changes
        if proof:
            key = key or self.key
            nonce = nonce or self.post("/api/v1/innlogging/utfordring", {}).json()["nonce"]
            signed = messages.login_bytes(body["kommune"], body["bydel"], body["orgnr"], nonce)
            body |= {
                "sender_key": key.public.openssh,
                "nonce": nonce,
                "signature": key.sign(signed, messages.LOGIN).decode(),
            }
        return self.post("/api/v1/innlogging", body)

    def log_in(self, **changes):
        answer = self.try_login(**changes)
        assert answer.status_code == 200, answer.content
        self.token = answer.json()["token"]
        return self

    def seal(self, **facts) -> Path:
        return self.seal_files(**facts)[0]

    def seal_files(self, **facts) -> list[Path]:
        out = self.folder / f"{len(list(self.folder.iterdir()))}.forsendelse"
        return cast.seal(self.season, out, facts.pop("key", self.key), kommune=self.kommune, **facts)

    def announce(self, path):
        container = read_container(path)
        body = {
            "manifest": base64.b64encode(container.manifest_bytes).decode(),
            "signature": container.signature.decode(),
        }
        return self.post("/api/v1/forsendelser", body)

    def begin(self, path, **headers):
        """Create the upload of a file; gives the answer."""
        content = Path(path).read_bytes()
        digest = base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode()
        given = {**TUS, "Upload-Length": str(len(content)), "Upload-Metadata": f"sha256 {digest}"} | headers
        return self.http.post("/api/v1/opplasting", headers=self.auth | given)

    def patch(self, place, offset, content, *, length=None, **headers):
        given = {**TUS, "Upload-Offset": str(offset)} | headers
        return self.http.generic(
            "PATCH", place, content, content_type="application/offset+octet-stream", headers=self.auth | given
        )

    def head(self, place):
        return self.http.head(place, headers=self.auth | TUS)

    def upload(self, path) -> str:
        """Upload a whole file; gives its address."""
        place = self.begin(path).headers["Location"]
        answer = self.patch(place, 0, Path(path).read_bytes())
        assert answer.status_code == 204, answer.content
        return place

    def get(self, path):
        return self.http.get(path, headers=self.auth)

    def post(self, path, body):
        return self.http.post(path, json.dumps(body), content_type="application/json", headers=self.auth)

    @property
    def auth(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}
