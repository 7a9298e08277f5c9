"""What boxes are given certificates for, and when: for an order's token, or as themselves.

A certificate from here opens nothing. A box is served when staff's act names its key, and they
name one that somebody at the box has compared (`box activate`): whoever has the authority's key,
or this whole process, can still make no box that works. Knows no HTTP.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from sqlalchemy import bindparam, select

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import boxcertificate, certsonly, csr
from sdbox_agent.pki.certificate import spki
from sdbox_centre import authority
from sdbox_centre.connections import fingerprint_of, halves
from sdbox_centre.core import box_of
from sdbox_centre.staff import payload
from sdbox_centre.store import note
from sdbox_centre.tables import issued
from sdbox_centre.upsert import Upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from sdbox_agent.pki.boxcertificate import Purpose
    from sdbox_centre.core import Centre
    from sdbox_centre.staff.ledger import Signed

    Newest = Callable[[Connection, str], Signed | None]

PROFILES: Final[dict[Purpose, authority.Profile]] = {
    "tls": authority.BOX_TLS,
    "statement": authority.BOX_STATEMENT_KEPT,
}
NOBODYS: Final = bytes(32)  # the digest of no token
_p = bindparam
_ISSUED: Final = select(issued).where(
    issued.c.token_sha256 == _p("b_token"), issued.c.purpose == _p("b_purpose")
)
_ISSUE: Final = Upsert(issued)  # of two at once, the second changes nothing


@dataclass(frozen=True, slots=True)
class Est:
    """The boxes' authority, and where orders are read."""

    authority: authority.Authority
    anchors: tuple[bytes, ...]  # that boxes are to know it by, DER; two while one replaces another
    successors: tuple[bytes, ...]  # of the centre's own authority, and the old one's word, DER
    newest: Newest  # staff's newest act on a subject: nothing else is an order


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came, read; `token_sha256` of what was shown beside it, if anything was."""

    request: csr.Request
    purpose: Purpose
    token_sha256: bytes = NOBODYS


def read(csr_der: bytes, purpose: Purpose, box: str = "", token: str = "") -> Asked:
    """Raises Refused: box-request-invalid; box-token-wrong for another's name beside the token."""
    try:
        request = csr.parse(csr_der)
    except DecodeError:
        raise Refused("box-request-invalid") from None
    if token and box != request.box:
        raise Refused("box-token-wrong")
    return Asked(request, purpose, hashlib.sha256(token.encode()).digest())


def enroll(centre: Centre, est: Est, asked: Asked) -> bytes:
    """The first certificate for a key of an ordered box, DER; to the same key the same again.

    The token is spent for that key, durably, before the certificate is given. Raises Refused:
    box-token-wrong, box-token-ended, box-token-spent; act-missing.
    """
    now_s, box = centre.utc_s(), asked.request.box
    with centre.store.begin() as tx:
        signed = est.newest(tx, f"order/{box}")
        order = None if signed is None else signed.act
        known = order.token_sha256 if isinstance(order, payload.Order) else NOBODYS
        is_known = hmac.compare_digest(asked.token_sha256, known)
        if not is_known or not isinstance(order, payload.Order) or order.withdrawn:
            raise Refused("box-token-wrong")
        if now_s >= order.token_until_s:
            raise Refused("box-token-ended")
        row = _row(tx, asked)
        if row is None:
            fresh = _issue(est, asked, now_s)
            _ISSUE.run(tx, {**_key(asked), "certificate": fresh, "at_s": now_s})
            row = _row(tx, asked)
            note(tx, now_s, "est-enroll", box=box, sha256=hashlib.sha256(fresh).digest())
        if row is None or row.key_sha256 != _digest(asked):
            raise Refused("box-token-spent")
        return bytes(row.certificate)


def reenroll(centre: Centre, est: Est, peer_der: bytes, asked: Asked) -> bytes:
    """A new certificate for the key of this connection's, from two thirds of its life on, DER.

    The key stays: it is what staff's act names, so the box is the same box and nobody is asked.
    Nothing is kept of it. Raises Refused: box-refused, or as access.shut_box; act-missing;
    box-request-invalid (another name or key); box-known-by-certificate; box-renewal-early.
    """
    now_s, fingerprint = centre.utc_s(), fingerprint_of(peer_der)
    with centre.store.begin() as tx:
        row = box_of(tx, fingerprint)
        if centre.proven(tx, [("box", row)]) == [None]:
            raise Refused("act-missing")
        key_sha256 = halves(fingerprint)[1]
        if asked.request.box != row.name or _digest(asked) != key_sha256:
            raise Refused("box-request-invalid")
        if row.tls_sha256 != key_sha256:
            raise Refused("box-known-by-certificate")
        if now_s < boxcertificate.renewable_s(x509.load_der_x509_certificate(peer_der)):
            raise Refused("box-renewal-early")
        fresh = _issue(est, asked, now_s)
        note(tx, now_s, "est-reenroll", box=row.name, sha256=hashlib.sha256(fresh).digest())
        return fresh


def found(tx: Connection, token_sha256: bytes) -> dict[str, bytes]:
    """What was issued for a token: by purpose, the certificate, DER."""
    rows = tx.execute(select(issued).where(issued.c.token_sha256 == token_sha256)).all()
    return {row.purpose: bytes(row.certificate) for row in rows}


def load(
    own: authority.Authority,
    anchors: tuple[bytes, ...],
    successors: tuple[bytes, ...],
    newest: Newest,
) -> Est:
    """Raises ValueError for an authority that is none of the anchors', or too much to hand out."""
    if own.certificate_der not in anchors:
        raise ValueError("est: its authority is not among box_anchors")
    for handed in (anchors, successors):
        if handed:
            certsonly.parse(certsonly.encode(*handed))
    return Est(own, anchors, successors, newest)


def _issue(est: Est, asked: Asked, now_s: int) -> bytes:
    now = dt.datetime.fromtimestamp(now_s, dt.UTC)
    profile, issuer = PROFILES[asked.purpose], est.authority
    begin = now - authority.BACKDATED
    end = min(now + profile.life, issuer.certificate.not_valid_after_utc)
    subject = authority.box_subject(asked.request.box)
    return authority.der_of(issuer.issue(profile, subject, asked.request.key, begin, end))


def _row(tx: Connection, asked: Asked) -> Row[tuple[object, ...]] | None:
    about = {"b_token": asked.token_sha256, "b_purpose": asked.purpose}
    return tx.execute(_ISSUED, about).first()


def _key(asked: Asked) -> dict[str, object]:
    return {
        "token_sha256": asked.token_sha256,
        "purpose": asked.purpose,
        "box": asked.request.box,
        "key_sha256": _digest(asked),
    }


def _digest(asked: Asked) -> bytes:
    return hashlib.sha256(spki(asked.request.key)).digest()
