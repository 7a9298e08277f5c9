"""Whether a card is valid now, by anchors and revocation lists on this process's own disk [door].

API and gateway each have their own files and ask each for itself. A list that was exchanged counts
from the next question on; none is ever taken from a caller.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import Fault
from sdbox_agent.pki import holder, path, revocation
from sdbox_centre.unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence

# A "yes" is kept for the very same certificates and lists, while these are in date: a renewal each
# half minute costs no path. Only an authority's own last day may be seen that much late.
KEPT_S: Final = 300
MAX_KEPT: Final = 4000  # four times the sessions one centre is meant for: a full one starts anew

log = logging.getLogger("sdbox.centre")


@dataclass(frozen=True, slots=True)
class _Yes:
    """An answer, and from when until when it may be given again."""

    card: path.CheckedCard
    found_s: int
    until_s: int


class Lists:
    """Authorities (PEM, once) and their CRLs (DER files, read anew when they change)."""

    def __init__(self, anchors: Path, crls: Sequence[Path]) -> None:
        self.anchors = certificates_of(anchors)
        self._paths = tuple(crls)
        self._lock = threading.Lock()
        self._files = Unchanged(Path.read_bytes)
        self._accepted: tuple[bytes, ...] = ()
        self._numbers: dict[bytes, int] = {}  # authority's digest -> greatest CRLNumber seen

    def crls(self, now_s: int) -> tuple[bytes, ...]:
        """The lists (DER), as they lie on the disk. Raises Fault: crl-invalid, crl-stale."""
        moment = dt.datetime.fromtimestamp(now_s, dt.UTC)
        with self._lock:
            try:
                crls = tuple(map(self._files.of, self._paths))
            except OSError as error:
                raise Fault("crl-stale") from error  # which names the file
            if crls != self._accepted:
                self._accept(crls, moment)
            return self._accepted

    def _accept(self, crls: tuple[bytes, ...], moment: dt.datetime) -> None:
        numbers = dict(self._numbers)
        for file, crl_der in zip(self._paths, crls, strict=True):
            try:
                crl = revocation.accept(crl_der, self.anchors, moment, None)
                authority = revocation.authority_of(crl, self.anchors)
                revocation.check_number(crl, numbers.get(authority))
            except Fault as fault:
                raise Fault(fault.code) from ValueError(file)
            numbers[authority] = crl.number
        self._numbers, self._accepted = numbers, crls


class CardRules:
    """The lists of the card authorities, and what they and the certificates say of a card."""

    def __init__(self, anchors: Path, crls: Sequence[Path], *, test_issuers: bool = False) -> None:
        """`test_issuers`: cards of authorities that issue for tests are cards, too."""
        self._lists = Lists(anchors, crls)
        self._test_issuers = test_issuers
        self._found: dict[tuple[holder.CardCertificates, tuple[bytes, ...]], _Yes] = {}

    def check(
        self, auth: bytes, key_management: bytes, card_auth: bytes, now_s: int
    ) -> path.CheckedCard:
        """What the certificates of one valid card say. Raises Refused (card-*) or Fault (crl-*)."""
        shown = holder.CardCertificates(auth, key_management, card_auth)
        lists = self.crls(now_s)
        question = (shown, lists)
        kept = self._found.get(question)
        if kept is not None and kept.found_s <= now_s < kept.until_s:
            return kept.card
        rules = path.Rules(
            self._lists.anchors,
            lists,
            dt.datetime.fromtimestamp(now_s, dt.UTC),
            test_issuers=self._test_issuers,
        )
        # The CHUID is on the card, and the box reads it; the centre sees certificates only.
        checked = path.validate_card(path.Shown(shown, expires=None, guid=None), rules)
        ends = [checked.valid_until, *(revocation.parse(crl).next_update for crl in lists)]
        until_s = min(now_s + KEPT_S, int(min(ends).timestamp()))
        if len(self._found) >= MAX_KEPT:
            self._found.clear()
        self._found[question] = _Yes(checked, now_s, until_s)
        return checked

    def crls(self, now_s: int) -> tuple[bytes, ...]:
        """As `Lists.crls`, of the card authorities."""
        return self._lists.crls(now_s)

    def revoked(self, now_s: int) -> frozenset[int]:
        """The serial numbers that these lists name, of whichever authority."""
        return frozenset().union(*(revocation.parse(crl).revoked for crl in self.crls(now_s)))


def served(cards: CardRules, desks: Lists | None, now_s: int) -> tuple[bytes, ...]:
    """The lists that boxes are given. Raises Fault for a bad one of the card authorities.

    A bad one of the enrolment authorities is left out, and said: what needs no reference goes on,
    and the box refuses the rest by the list it lacks.
    """
    lists = cards.crls(now_s)
    try:
        others = () if desks is None else desks.crls(now_s)
        for crl_der in others:
            moment = dt.datetime.fromtimestamp(now_s, dt.UTC)
            revocation.check_fresh(revocation.parse(crl_der), moment)
    except Fault as fault:
        log.warning("list of an enrolment authority: %s", fault.code)
        return lists
    return (*lists, *others)


def certificates_of(pem: Path) -> tuple[bytes, ...]:
    """The certificates in a PEM file, as DER. Raises OSError; ValueError, which names the file."""
    try:
        loaded = x509.load_pem_x509_certificates(pem.read_bytes())
    except ValueError as error:
        raise ValueError(f"{pem}: no certificates in PEM") from error
    return tuple(one.public_bytes(Encoding.DER) for one in loaded)
