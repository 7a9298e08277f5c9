"""A person's device for one-time codes (RFC 6238): reads the URI that the centre shows once."""

from __future__ import annotations

import time
from base64 import b32decode
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP


@dataclass(frozen=True)
class Device:
    """Shows six digits, others every 30 s."""

    secret: bytes = field(repr=False)

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """As such devices read it. Raises ValueError for a URI that is not of that sort."""
        parts = urlsplit(uri)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        form = (query.get("digits"), query.get("period"), query.get("algorithm"))
        if (parts.scheme, parts.netloc) != ("otpauth", "totp") or form != ("6", "30", "SHA1"):
            raise ValueError("not a URI of codes by time")
        return cls(b32decode(query["secret"]))

    def code(self, utc_s: float | None = None) -> str:
        """What it shows at that second: now, unless told otherwise."""
        moment = time.time() if utc_s is None else utc_s
        return TOTP(self.secret, 6, SHA1(), 30).generate(int(moment)).decode()
