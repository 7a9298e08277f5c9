"""Which cards this box believes: anchors, revocation lists, the clock's mark.

The lists come through the centre and from nobody else; the newest good one of each issuer is kept
for as long as it lasts, so a centre out of reach doesn't make a revoked card good.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Bug, Refused
from sdbox_agent.pki import path, revocation
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.session.events import Card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.cardkind import CardKind
    from sdbox_agent.ipc import Opened
    from sdbox_agent.state.marks import Marks


WARNED_DAYS: Final = 90  # before a card ends, its holder is told at each session


class Trust:
    """Anchors are DER certificates: the card authorities this box was given."""

    def __init__(
        self,
        anchors: Sequence[bytes],
        desk_anchors: Sequence[bytes],
        marks: Marks,
        kinds: Sequence[CardKind],
    ) -> None:
        self._anchors = tuple(anchors)
        self._desk_anchors = tuple(desk_anchors)
        self._marks = marks
        self.kinds = tuple(kinds)
        self._lists: dict[bytes, bytes] = {}  # issuer's digest -> newest list, DER

    def take(self, crls: Sequence[bytes], utc_s: int) -> None:
        """Keep these lists in place of older ones of their issuers.

        Raises Fault crl-invalid (also for a number that went back) or crl-stale; the
        lists before the bad one are kept.
        """
        moment = dt.datetime.fromtimestamp(utc_s, dt.UTC)
        for crl_der in crls:
            crl = revocation.accept(crl_der, self._anchors, moment, None)
            issuer = hashlib.sha256(crl.issuer.public_bytes()).digest()
            self._marks.crl(issuer, crl.number)
            self._lists[issuer] = crl_der

    def desk_lists(self) -> tuple[bytes, ...]:
        """The newest lists of the enrolment authorities, DER: the finger process asks them."""
        return ()

    def check(self, opened: Opened, utc_s: int) -> Card:
        """The card, its certificates being valid at `utc_s`.

        Raises as path.validate_card, and Refused("card-pin-usable") for a card whose certificate
        says that no PIN opens it, while one does.
        """
        moment = dt.datetime.fromtimestamp(utc_s, dt.UTC)
        checked = path.validate_card(
            CardCertificates(opened.auth, opened.key_management, opened.card_auth),
            opened.expires,
            self._anchors,
            tuple(self._lists.values()),
            moment,
            opened.guid,
        )
        kind = next((kind for kind in self.kinds if kind.name == opened.kind), None)
        if kind is None:
            raise Bug("worker-protocol")
        if checked.match_bound and opened.bits and opened.pin_left != 0:
            raise Refused("card-pin-usable")
        days = (checked.valid_until - moment).days
        return Card(
            opened.auth,
            opened.key_management,
            opened.card_auth,
            kind,
            opened.bits,
            opened.match_left,
            opened.pin_left,
            opened.pad,
            checked.match_bound,
            days if days < WARNED_DAYS else None,
        )
