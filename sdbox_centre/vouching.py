"""Short certificates for TLS keys that boxes make in memory, on the word of their statement keys.

A box whose statement key is in its security chip has no other key that lasts: staff's act names
that one. Its certificates carry its own signed word (pki.vouched), from which each call sees whose
connection it is; so nothing of them is kept here, and a restart or a second process changes
nothing. Knows no HTTP.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import certificate, csr, vouched
from sdbox_agent.pki.certificate import spki
from sdbox_agent.statements import jws
from sdbox_agent.terms import CHALLENGE_BYTES
from sdbox_centre import access, authority, est
from sdbox_centre.staff import payload
from sdbox_centre.store import note
from sdbox_centre.tables import boxes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Row

    from sdbox_agent.centre.vouchwire import VouchRequest
    from sdbox_centre.core import Centre
    from sdbox_centre.est import Est

# Over a night in which the centre can't be reached: a box asks anew from two thirds of it on, eight
# hours before it ends. A key that was read from a box's memory is worth nothing the day after; a
# box that is suspended has nothing of it at once, whatever it shows.
LIFE: Final = dt.timedelta(hours=24)
ANSWER_S: Final = 30  # as for a proof: a chip may be asked by others too
_NAMED: Final = select(boxes).where(boxes.c.name == bindparam("b_box"))


class Pending:
    """The challenge of one connection: one use, and gone with the connection."""

    def __init__(self) -> None:
        self._value = b""
        self._until_s = 0

    def issue(self, random_bytes: Callable[[int], bytes], now_s: int) -> bytes:
        """A new one; an earlier one is void."""
        self._value, self._until_s = random_bytes(CHALLENGE_BYTES), now_s + ANSWER_S
        return self._value

    def take(self, now_s: int) -> bytes:
        """Spend it, whatever comes of it. Raises Refused: challenge-unknown, challenge-expired."""
        value, self._value = self._value, b""
        if not value:
            raise Refused("challenge-unknown")
        if now_s >= self._until_s:
            raise Refused("challenge-expired")
        return value


def vouch(centre: Centre, est_: Est, challenge: bytes, asked: VouchRequest) -> bytes:
    """A certificate for a TLS key that the box's statement key calls its own, DER.

    Who it is, is proved before anything is said of that box. Raises Refused: box-request-invalid;
    box-refused for nobody's word, or one about another key or name; challenge-unknown for one that
    was given to another challenge; act-missing, and as access.shut_box.
    """
    now_s = centre.utc_s()
    try:
        request = csr.parse(asked.request)
    except DecodeError:
        raise Refused("box-request-invalid") from None
    with centre.store.begin() as tx:
        row, statement_der = _signer(tx, est_, request.box, asked.statement)
        try:
            said = vouched.opened(asked.statement, statement_der)
        except DecodeError:
            raise Refused("box-refused") from None
        if said.challenge != challenge:
            raise Refused("challenge-unknown")
        if said.box != request.box or said.key_sha256 != vouched.key_sha256(spki(request.key)):
            raise Refused("box-refused")
        if row is not None:
            _in_service(centre, tx, row)
        fresh = _issue(est_, request, vouched.extension(statement_der, asked.statement), now_s)
        note(tx, now_s, "vouch", box=request.box, sha256=hashlib.sha256(fresh).digest())
    return fresh


def names_itself(statement_certificate_der: bytes) -> bytes:
    """How staff's act calls a box that vouches for its TLS keys: SHA-256 of its statement key."""
    own = certificate.load(statement_certificate_der)
    return hashlib.sha256(certificate.key_der(own)).digest()


def _signer(tx: Connection, est_: Est, box: str, statement: bytes) -> tuple[Row[Any] | None, bytes]:
    """The certificate that the statement names, if it is that box's; and its row, if it has one.

    Raises Refused("box-refused").
    """
    try:
        signers = jws.signers(statement)
    except DecodeError:
        raise Refused("box-refused") from None
    for row, der in _candidates(tx, est_, box):
        if signers == (hashlib.sha256(der).digest(),):
            return row, der
    raise Refused("box-refused")


def _candidates(tx: Connection, est_: Est, box: str) -> Iterator[tuple[Row[Any] | None, bytes]]:
    """Of a box that staff named by its statement key; and of one that is ordered, and to be it."""
    row = tx.execute(_NAMED, {"b_box": box}).first()
    if row is not None:
        der = bytes(row.statement_certificate)
        if row.tls_sha256 == names_itself(der):
            yield row, der
    signed = est_.newest(tx, f"order/{box}")
    order = None if signed is None else signed.act
    if isinstance(order, payload.Order) and not order.withdrawn:
        issued = est.found(tx, order.token_sha256)
        if issued.keys() == {"statement"}:
            yield None, issued["statement"]


def _in_service(centre: Centre, tx: Connection, row: Row[Any]) -> None:
    if centre.proven(tx, [("box", row)]) == [None]:
        raise Refused("act-missing")
    code = access.shut_box(row.state)
    if code is not None:
        raise Refused(code)


def _issue(est_: Est, request: csr.Request, carried: Any, now_s: int) -> bytes:  # noqa: ANN401
    now = dt.datetime.fromtimestamp(now_s, dt.UTC)
    issuer = est_.authority
    profile = replace(authority.BOX_TLS, extensions=(carried,))
    end = min(now + LIFE, issuer.certificate.not_valid_after_utc)
    subject = authority.box_subject(request.box)
    begin = now - authority.BACKDATED
    return authority.der_of(issuer.issue(profile, subject, request.key, begin, end))
