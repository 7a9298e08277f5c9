"""What a box without a certificate says to be given a short one (statements.vouch). Closed types.

Two calls on one connection, over TLS that authenticates the centre alone: a challenge, which ends
with that connection, and the answer to it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta

from sdbox_agent.centre.wire import (
    Certificate,
    Challenge,
    _Closed,
)

MAX_CSR_BYTES: Final = 1024  # as pki.csr takes them
MAX_REQUEST_BYTES: Final = 4 * 1024  # two fields of 1 KiB, in base64

Csr = Annotated[bytes, Meta(min_length=1, max_length=MAX_CSR_BYTES)]  # DER
Statement = Annotated[bytes, Meta(min_length=1, max_length=1024)]  # JWS with one signature


class ChallengeAnswer(_Closed, frozen=True, kw_only=True):
    """What the box is to sign, once, on this connection."""

    challenge: Challenge


class VouchRequest(_Closed, frozen=True, kw_only=True):
    """POST /v1/vouch: the statement key says that the TLS key of this request is its box's."""

    v: Literal[2] = 2
    request: Csr
    statement: Statement


class VouchAnswer(_Closed, frozen=True, kw_only=True):
    """The certificate on that key, DER; it carries the statement."""

    certificate: Certificate
