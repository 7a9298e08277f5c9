"""Whether a card is valid now, by anchors and revocation lists on this process's own disk [door].

API and gateway each have their own files and ask each for itself. A list that was exchanged counts
from the next question on; none is ever taken from a caller.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import certificate, holder, path, revocation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# A "yes" is kept for the very same certificates and lists, while these are in date: a renewal each
# half minute costs no path. Only an authority's own last day may be seen that much late.
KEPT_S: Final = 300
MAX_KEPT: Final = 1000


@dataclass(frozen=True, slots=True)
class _Yes:
    """An answer, and from when until when it may be given again."""

    card: path.CheckedCard
    found_s: int
    until_s: int


class CardRules:
    """Anchors (PEM, once) and CRLs (DER files, read anew when they change)."""

    def __init__(self, anchors: Path, crls: Sequence[Path]) -> None:
        self._anchors = certificates_of(anchors)
        self._paths = tuple(crls)
        self._lock = threading.Lock()
        self._seen: tuple[tuple[int, int], ...] = ()
        self._crls: tuple[bytes, ...] = ()
        self._found: dict[tuple[holder.CardCertificates, tuple[bytes, ...]], _Yes] = {}
        self._numbers: dict[x509.Name, int] = {}  # issuer's name -> greatest CRLNumber seen

    def check(
        self, auth: bytes, key_management: bytes, card_auth: bytes, now_s: int
    ) -> path.CheckedCard:
        """What the certificates of one valid card say.

        Raises Refused (card-*) or Fault (crl-*). The CHUID's date is on the card, and the box reads
        it; the centre sees certificates only.
        """
        shown = holder.CardCertificates(auth, key_management, card_auth)
        moment = dt.datetime.fromtimestamp(now_s, dt.UTC)
        lists = self.crls(now_s)
        question = (shown, lists)
        kept = self._found.get(question)
        if kept is not None and kept.found_s <= now_s < kept.until_s:
            return kept.card
        try:
            guid = holder.guid(certificate.load(auth))
        except DecodeError:
            raise Refused("card-data-invalid") from None
        checked = path.validate_card(shown, None, self._anchors, lists, moment, guid)
        ends = [checked.valid_until, *(revocation.parse(crl).next_update for crl in lists)]
        until_s = min(now_s + KEPT_S, int(min(ends).timestamp()))
        if len(self._found) >= MAX_KEPT:
            self._found.clear()
        self._found[question] = _Yes(checked, now_s, until_s)
        return checked

    def crls(self, now_s: int) -> tuple[bytes, ...]:
        """The lists (DER), as they lie on the disk. Raises Fault: crl-invalid, crl-stale."""
        moment = dt.datetime.fromtimestamp(now_s, dt.UTC)
        with self._lock:
            try:
                seen = tuple((s.st_mtime_ns, s.st_ino) for s in (p.stat() for p in self._paths))
                if seen != self._seen:
                    self._crls = self._read(moment)
                    self._seen = seen
            except OSError:
                raise Fault("crl-stale") from None
            return self._crls

    def _read(self, moment: dt.datetime) -> tuple[bytes, ...]:
        numbers = dict(self._numbers)
        lists = []
        for one in self._paths:
            crl_der = one.read_bytes()
            try:
                issuer = revocation.parse(crl_der).issuer
            except DecodeError:
                raise Fault("crl-invalid") from None
            known = numbers.get(issuer)
            numbers[issuer] = revocation.accept(crl_der, self._anchors, moment, known).number
            lists.append(crl_der)
        self._numbers = numbers
        return tuple(lists)


def certificates_of(pem: Path) -> tuple[bytes, ...]:
    """The certificates in a PEM file, as DER. Raises OSError, ValueError."""
    loaded = x509.load_pem_x509_certificates(pem.read_bytes())
    return tuple(one.public_bytes(Encoding.DER) for one in loaded)
