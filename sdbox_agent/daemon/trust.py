"""Which cards this box believes: anchors, revocation lists, the clock's mark.

The lists come through the centre and from nobody else; the newest good one of each issuer is kept
for as long as it lasts, so a centre out of reach doesn't make a revoked card good.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Literal

from sdbox_agent.pki import path, revocation
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.session.events import Card

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdbox_agent.ipc import Opened
    from sdbox_agent.state.marks import Marks


class Trust:
    """Anchors are DER certificates: the card authorities this box was given.

    No card tells whether its keys want a PIN (SP 800-73-5 has no object for it): that is known of
    the cards a model of box is issued with, and stands in its profile.
    """

    def __init__(
        self, anchors: Sequence[bytes], marks: Marks, pin_policy: Literal["never", "once"]
    ) -> None:
        self._anchors = tuple(anchors)
        self._marks = marks
        self._pin_policy = pin_policy
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

    def check(self, opened: Opened, utc_s: int) -> Card:
        """The card, its certificates being valid at `utc_s`. Raises as path.validate_card."""
        path.validate_card(
            CardCertificates(opened.auth, opened.key_management, opened.card_auth),
            opened.expires,
            self._anchors,
            tuple(self._lists.values()),
            dt.datetime.fromtimestamp(utc_s, dt.UTC),
            opened.guid,
        )
        return Card(opened.auth, opened.key_management, opened.card_auth, self._pin_policy)
