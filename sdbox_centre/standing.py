"""What the gateway's own files say of a receipt, and of a lease again and again. No I/O of its own.

A question is answered by Refused (this card, box or project: no) or by Fault (a file of ours can't
be read, a list is over: nobody can say).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.tunnel.psk import Offer
from sdbox_centre import access
from sdbox_centre.leases import MAX_HOSTS, Lease, addresses
from sdbox_centre.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_centre.cardrules import CardRules
    from sdbox_centre.gateway import Book, Project
    from sdbox_centre.handover import KeptLease
    from sdbox_centre.window import Planned

Certificates = tuple[bytes, bytes, bytes]  # 9A, 9D, 9E


class Standing:
    """Anchors, revocation lists, boxes and projects, as they are at each question."""

    def __init__(self, cards: CardRules, book: Book, utc_s: Callable[[], int]) -> None:
        self._cards = cards
        self._book = book
        self._utc_s = utc_s

    def signed(self, box: str, statement: bytes, auth: bytes) -> tuple[fields.Receipt, bytes]:
        """The receipt, signed by that card and by that box, and the box's certificate."""
        certificate = self._book.box(box)
        receipt = jws.open_as(fields.Receipt, statement, [auth, certificate])
        if receipt.box != box:
            raise Refused("statement-not-yours")
        return receipt, certificate

    def renewed(self, receipt: fields.Receipt, statement: bytes, auth: bytes) -> fields.Renew:
        """A renewal of the receipt's session, signed by that card."""
        renewal = jws.open_as(fields.Renew, statement, [auth])
        if (renewal.box, renewal.session) != (receipt.box, receipt.session):
            raise Refused("statement-not-yours")
        return renewal

    def proved(self, receipt: fields.Receipt, certificates: Certificates) -> None:
        """The card is valid, and can have done what is said."""
        checked = self._cards.check(*certificates, self._utc_s())
        access.claim(receipt, match_bound=checked.match_bound)

    def allowed(self, receipt: fields.Receipt, card: bytes) -> Project:
        """The project, which this card may enter at this level."""
        project = self._book.project(receipt.project)
        project.admit(card, receipt.level.value)
        if receipt.attempt < 1:
            raise Refused("project-not-granted")
        return project

    def listed(self, lease: Lease) -> None:
        """The box is the one that signed, and the project takes this card."""
        if self._book.box(lease.receipt.box) != lease.box_certificate:
            raise Refused("box-refused")
        self.allowed(lease.receipt, lease.card)

    def again(self, kept: KeptLease, ends_s: float) -> Lease:
        """A lease from what was handed over: signatures, box and project, as for a new one.

        Its card's path is another question (`proved`), of some milliseconds each.
        """
        auth = kept.certificates[0]
        receipt, box_certificate = self.signed(kept.box, kept.statement, auth)
        renewal = None if kept.renewal is None else self.renewed(receipt, kept.renewal, auth)
        card = hashlib.sha256(auth).digest()
        project = self.allowed(receipt, card)
        return Lease(
            receipt=receipt,
            statement=kept.statement,
            certificates=kept.certificates,
            box_certificate=box_certificate,
            card=card,
            host=kept.host,
            peer=Peer(receipt.wg_public_key, addresses(project.pools, kept.host)),
            offer=Offer(kept.salt, kept.ciphertext),
            ends_s=ends_s,
            carrier=kept.carrier,
            renewal=renewal,
            renewal_statement=kept.renewal or b"",
        )

    def still_proved(self, lease: Lease) -> None:
        """The same as `proved`, of a live lease."""
        self.proved(lease.receipt, lease.certificates)

    def unnamed(self) -> Callable[[Lease], bool]:
        """Does no list name a serial number of this lease's card? Quick, and a hint only."""
        try:
            revoked = self._cards.revoked(self._utc_s())
        except Fault:
            return lambda _: True
        return lambda lease: revoked.isdisjoint(map(_serial, lease.certificates))

    def planned(self) -> Planned | None:
        """The window that staff planned; none where that can't be read."""
        try:
            return self._book.window()
        except Fault:
            return None

    def stamp(self) -> tuple[object, object]:
        """Another one as soon as lists, or boxes and projects, are others."""
        try:
            lists = self._cards.crls(self._utc_s())
        except Fault:
            lists = ()
        try:
            return lists, self._book.stamp()
        except Fault:
            return lists, None


@lru_cache(maxsize=3 * MAX_HOSTS)
def _serial(certificate_der: bytes) -> int:
    return x509.load_der_x509_certificate(certificate_der).serial_number
