"""Who wrote an answers file: a member of staff, by their card, and how a fresh box can know that.

A fresh box has no anchor. The operator gives it one number that came by another way than the file:
the SHA-256 of the staff's authority (handbook, telephone, an earlier box). From then on that
authority is pinned. What the signature is worth: whoever holds a staff card may write answers; a
box knows neither staff's roles nor whether a card was revoked since, so the centre asks for both
again before it puts a box into service. False answers make a box that speaks to a false centre,
which has no reference, no grant and no VM. Pure.

Beside `box.toml` lies `box.toml.sig`: one JSON object in its one form, with the member's 9A
certificate, the authorities above it, the anchor first, and staff's act (JWS), which names the
box, the SHA-256 of the file's bytes, and until when it may be used.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, chain, oids
from sdbox_agent.statements import jws
from sdbox_agent.statements.fields import Digest, Name  # noqa: TC001  msgspec reads them

if TYPE_CHECKING:
    import datetime as dt

    from cryptography import x509

SUFFIX: Final = ".sig"
TYP: Final = "staff"  # as every act of staff's: sdbox_centre/staff/payload.py
MAX_BYTES: Final = 32 * 1024
MAX_AUTHORITIES: Final = 4
_HEX: Final = re.compile(r"[0-9a-f]{64}")

Der = Annotated[bytes, Meta(min_length=1, max_length=4096)]


class Detached(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file beside the answers."""

    v: Literal[1] = 1
    certificate: Der  # of the signer's 9A
    authorities: Annotated[tuple[Der, ...], Meta(min_length=1, max_length=MAX_AUTHORITIES)]
    act: Annotated[bytes, Meta(min_length=1, max_length=jws.MAX_JWS_BYTES)]


class Said(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="answers"
):
    """Staff's act: these answers are for this box. Field by field as the centre writes it."""

    n: Annotated[int, Meta(ge=1, le=2**31)]
    utc_s: Annotated[int, Meta(ge=0, le=2**40)]
    motive: Annotated[str, Meta(max_length=200)]
    box: Name
    answers_sha256: Digest
    until_s: Annotated[int, Meta(ge=0, le=2**40)]


@dataclass(frozen=True, slots=True)
class Signed:
    """Answers that staff signed: what was said of them, and the authority that vouches."""

    said: Said
    anchor_der: bytes


def encode(detached: Detached) -> bytes:
    """The file's bytes."""
    return msgspec.json.encode(detached)


def parse(data: bytes) -> Detached:
    """Read the file. Raises DecodeError for any other form than `encode`'s."""
    if len(data) > MAX_BYTES:
        raise DecodeError("signature file too large")
    try:
        found = msgspec.json.decode(data, type=Detached)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("signature file") from None
    if encode(found) != data:
        raise DecodeError("signature file not in its one form")
    return found


def parse_said(payload: bytes) -> Said:
    """Read the act's payload. Raises DecodeError for any other form than the centre's."""
    try:
        said = msgspec.json.decode(payload, type=Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("act") from None
    if msgspec.json.encode(said) != payload:
        raise DecodeError("act not in its one form")
    return said


def parse_typed(text: str) -> bytes:
    """The anchor's SHA-256 as a person types it: 64 hex digits, blanks and colons at will.

    Raises AskAgain("anchor-malformed").
    """
    bare = re.sub(r"[\s:]", "", text).lower()
    if not _HEX.fullmatch(bare):
        raise AskAgain("anchor-malformed")
    return bytes.fromhex(bare)


def verify(
    answers: bytes, detached: bytes, anchor_sha256: bytes, now: dt.datetime, *, rig: bool
) -> Signed:
    """That a member of staff signed these bytes, and that they may be used now.

    `rig`: authorities that issue for tests are taken, too. Raises Refused: anchor-mismatch,
    answers-unsigned, answers-expired.
    """
    try:
        given = parse(detached)
        anchor = _anchor(given, anchor_sha256)
        signer = _signer(given, now, rig=rig)
        said = parse_said(jws.open_payload(TYP, given.act, [signer]))
    except DecodeError:
        raise Refused("answers-unsigned") from None
    except Refused as error:
        raise error if error.code == "anchor-mismatch" else Refused("answers-unsigned") from None
    if said.answers_sha256 != hashlib.sha256(answers).digest():
        raise Refused("answers-unsigned")
    if now.timestamp() >= said.until_s:
        raise Refused("answers-expired")
    return Signed(said, anchor)


def _anchor(given: Detached, anchor_sha256: bytes) -> bytes:
    """The pinned one, and no other that has signed itself."""
    first, *_ = given.authorities
    if hashlib.sha256(first).digest() != anchor_sha256:
        raise Refused("anchor-mismatch")
    return first


def _signer(given: Detached, now: dt.datetime, *, rig: bool) -> bytes:
    """The signer's certificate, once its path has been seen. Raises DecodeError, Refused."""
    certificate.load(given.certificate)
    try:
        found = chain.authorities(given.authorities)
    except Fault:
        raise DecodeError("authorities") from None
    if [one.dump() for one in found.anchors] != [given.authorities[0]]:
        raise DecodeError("authorities: another anchor")
    path = chain.find(given.certificate, oids.POLICY_AUTH, found, now)
    if not rig and _for_tests(path):
        raise DecodeError("authorities: of tests")
    return given.certificate


def _for_tests(path: tuple[x509.Certificate, ...]) -> bool:
    return any(oids.POLICY_TEST in certificate.policies(one) for one in path)
