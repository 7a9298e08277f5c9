"""The bytes of a JWS that come before the signature: protected header and signing input.

Apart from jws.py because the card worker builds these and verifies nothing: it does without an
X.509 library, and says itself which algorithm the key has.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Literal

import msgspec

Algorithm = Literal["ES256", "ES384", "PS256"]  # RFC 7518 section 3.1


def b64url(data: bytes) -> bytes:
    """RFC 7515 section 2: base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def protected(typ: str, alg: str, certificate_der: bytes) -> bytes:
    """The exact protected header of statement `typ`, signed with the key of that certificate."""
    thumbprint = b64url(hashlib.sha256(certificate_der).digest()).decode()
    # The certificate's thumbprint: RFC 7515 section 4.1.8.
    fields = {"alg": alg, "typ": f"sdbox-{typ}", "v": 1, "x5t#S256": thumbprint}
    return msgspec.json.encode(fields)


def signing_input(protected_header: bytes, payload: bytes) -> bytes:
    """RFC 7515 section 5.1 step 8: what is hashed and signed."""
    return b64url(protected_header) + b"." + b64url(payload)
