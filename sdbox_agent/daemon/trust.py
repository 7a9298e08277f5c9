"""Which cards this box believes: anchors, revocation lists, the clock's mark.

The lists come through the centre and from nobody else; the newest good one of each issuer is kept
for as long as it lasts, so a centre out of reach doesn't make a revoked card good.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import Bug, DecodeError
from sdbox_agent.pki import certificate, path, revocation
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.session.events import Card

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.cardkind import CardKind
    from sdbox_agent.ipc import Opened
    from sdbox_agent.state.marks import Marks

    Publish = Callable[[bytes, bytes], None]


WARNED_DAYS: Final = (90, 30, 7)  # before a card ends, its holder is told, more and more urgently


class Trust:
    """Anchors are DER certificates: the authorities this box was given."""

    def __init__(
        self,
        anchors: Sequence[bytes],
        desk_anchors: Sequence[bytes],
        marks: Marks,
        kinds: Sequence[CardKind],
        *,
        test_issuers: bool = False,
        publish: Publish = lambda _issuer, _crl_der: None,
    ) -> None:
        """`publish` is shown each list that is taken, with its authority's digest."""
        self._anchors = tuple(anchors)
        self._desk_anchors = tuple(desk_anchors)
        self._marks = marks
        self._test_issuers = test_issuers
        self._publish = publish
        self.kinds = tuple(kinds)
        # authority's digest -> newest list, DER
        self._card_lists: dict[bytes, bytes] = {}
        self._desk_lists: dict[bytes, bytes] = {}

    def take(self, crls: Sequence[bytes], utc_s: int) -> None:
        """Keep these lists in place of older ones of their issuers.

        A list of an authority whose name this box does not know says nothing here, and is left
        out: the centre serves all boxes alike, also while one of them knows fewer authorities.
        Raises Fault crl-invalid (also for a number that went back) or crl-stale; the
        lists before the bad one are kept.
        """
        moment = dt.datetime.fromtimestamp(utc_s, dt.UTC)
        for crl_der in crls:
            self._take(crl_der, moment)

    def _take(self, crl_der: bytes, moment: dt.datetime) -> None:
        if self._is_foreign(crl_der):
            return
        crl = revocation.accept(crl_der, (*self._anchors, *self._desk_anchors), moment, None)
        for anchors, lists in (
            (self._anchors, self._card_lists),
            (self._desk_anchors, self._desk_lists),
        ):
            try:
                issuer = revocation.authority_of(crl, anchors)
            except DecodeError:
                continue  # the other purpose's authority signed it: it says nothing here
            self._marks.crl(issuer, crl.number)
            if lists.get(issuer) != crl_der:  # most often it is the one at hand
                lists[issuer] = crl_der
                self._publish(issuer, crl_der)

    def _is_foreign(self, crl_der: bytes) -> bool:
        """What can't be read is not: that is refused."""
        ours = (*self._anchors, *self._desk_anchors)
        try:
            issuer = revocation.parse(crl_der).issuer
            return all(certificate.load(one).subject != issuer for one in ours)
        except DecodeError:
            return False

    def lists(self) -> tuple[bytes, ...]:
        """SHA-256 of each list at hand: the centre need not send it again."""
        held = (*self._card_lists.values(), *self._desk_lists.values())
        return tuple(hashlib.sha256(crl_der).digest() for crl_der in held)

    def desk_lists(self) -> tuple[bytes, ...]:
        """The newest lists of the enrolment authorities, DER: the finger process asks them."""
        return tuple(self._desk_lists.values())

    def check(self, opened: Opened, utc_s: int) -> Card:
        """The card, its certificates being valid at `utc_s`. Raises as path.validate_card."""
        moment = dt.datetime.fromtimestamp(utc_s, dt.UTC)
        kind = next((kind for kind in self.kinds if kind.name == opened.kind), None)
        if kind is None:
            raise Bug("worker-protocol")
        shown = path.Shown(
            CardCertificates(opened.auth, opened.key_management, opened.card_auth),
            opened.expires,
            opened.guid,
            compares=kind.compares(opened.bits),
            pin_left=opened.pin_left,
        )
        lists = tuple(self._card_lists.values())
        rules = path.Rules(self._anchors, lists, moment, test_issuers=self._test_issuers)
        checked = path.validate_card(shown, rules)
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
            None if warned_at(days) is None else days,
        )


def warned_at(days: int) -> int | None:
    """Which of the steps of WARNED_DAYS a card with so many days left has come to, if any."""
    return min((step for step in WARNED_DAYS if days <= step), default=None)
