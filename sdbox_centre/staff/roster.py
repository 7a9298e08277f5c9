"""Who may sign acts: a file on each process's own disk, and staff's card authorities [door].

The file is the root of all trust in acts: whoever may write to it decides who decides. So it is the
operator's (root's), is read by each process at its own place, and no act changes it.

    [[member]]
    name = "staff-01"                      # as the office knows them: a pseudonym
    roles = ["office", "projects"]         # see payload.ROLES
    certificates = "staff-01.pem"          # their card's 9A, 9D and 9E, in this order
    left_s = 1893456000                    # nothing signed from then on; what was before, stands

Who leaves gets a `left_s` and has the card revoked: acts signed before stand, or everything would
fall with them. Whose card was stolen with its PIN is struck: a thief may date an act as he likes,
so all that this card ever signed has to be signed again by somebody else.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import certificate, chain, oids, revocation
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.statements.fields import Name  # noqa: TC001  msgspec reads annotations at run time
from sdbox_centre.cardrules import CardRules, certificates_of
from sdbox_centre.staff.payload import ROLES
from sdbox_centre.tomlfile import beside, load
from sdbox_centre.unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509

MAX_MEMBERS: Final = 200


class MemberEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card of one person in the file."""

    name: Name
    roles: Annotated[tuple[str, ...], Meta(min_length=1, max_length=len(ROLES))]
    certificates: str
    left_s: Annotated[int, Meta(ge=0, le=2**40)] | None = None


class RosterFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    member: Annotated[tuple[MemberEntry, ...], Meta(max_length=MAX_MEMBERS)]


@dataclass(frozen=True, slots=True)
class Member:
    """One card of one person, with a path to an authority of staff's cards."""

    name: str
    roles: frozenset[str]
    certificates: CardCertificates
    left_s: int | None
    auth: x509.Certificate

    def check_then(self, utc_s: int, crls: Sequence[bytes]) -> None:
        """Whether this card could sign at that time, by its dates and today's lists.

        Raises Refused: staff-not-allowed.
        """
        moment = dt.datetime.fromtimestamp(utc_s, dt.UTC)
        begin, end = self.auth.not_valid_before_utc, self.auth.not_valid_after_utc
        left = self.left_s is not None and utc_s >= self.left_s
        if left or not begin <= moment < end or self._revoked(moment, crls):
            raise Refused("staff-not-allowed")

    def _revoked(self, moment: dt.datetime, crls: Sequence[bytes]) -> bool:
        for crl_der in crls:
            crl = revocation.parse(crl_der)
            entry = crl.signed.get_revoked_certificate_by_serial_number(self.auth.serial_number)
            if crl.issuer == self.auth.issuer and entry is not None:
                return entry.revocation_date_utc <= moment
        return False


@dataclass(frozen=True, slots=True)
class Roster:
    """The file as it was read, with the lists of that time; judges by these alone."""

    members: dict[bytes, Member]  # by SHA-256 of their 9A certificates
    crls: tuple[bytes, ...]
    rules: CardRules

    def member(self, thumbprint: bytes) -> Member:
        """Raises Refused: staff-not-allowed."""
        found = self.members.get(thumbprint)
        if found is None:
            raise Refused("staff-not-allowed")
        return found

    def check_now(self, member: Member, now_s: int) -> None:
        """Path, dates and lists, as of a holder's card. Raises Refused (card-*), Fault (crl-*)."""
        three = member.certificates
        self.rules.check(three.auth, three.key_management, three.card_auth, now_s)


def _entries(file: Path) -> list[tuple[MemberEntry, Path]]:
    """Each with the file of its certificates: the paths are made once, and asked about often."""
    return [(one, beside(file, one.certificates)) for one in load(file, RosterFile).member]


class RosterSource:
    """Where the roster is read from, again whenever it, a certificate or a list has changed."""

    def __init__(
        self, file: Path, anchors: Path, crls: Sequence[Path], *, test_issuers: bool = False
    ) -> None:
        self._file = file
        self._anchors = certificates_of(anchors)
        self._rules = CardRules(anchors, crls, test_issuers=test_issuers)
        self._test_issuers = test_issuers
        self._entries = Unchanged(_entries)
        self._certificates = Unchanged(certificates_of)
        self._seen: tuple[object, ...] = ()
        self._roster: Roster | None = None

    def roster(self, now_s: int) -> Roster:
        """The same object until something changed. Raises Fault: config-invalid, crl-*."""
        crls = self._rules.crls(now_s)
        try:
            entries = self._entries.of(self._file)
            ders = [self._certificates.of(file) for _, file in entries]
            seen = (entries, ders, crls)
            if self._roster is None or seen != self._seen:
                members = (
                    self._member(one, der) for (one, _), der in zip(entries, ders, strict=True)
                )
                known = {hashlib.sha256(one.certificates.auth).digest(): one for one in members}
                self._roster, self._seen = Roster(known, crls, self._rules), seen
        except (OSError, ValueError, Refused) as error:
            raise Fault("config-invalid") from error
        return self._roster

    def _member(self, entry: MemberEntry, ders: tuple[bytes, ...]) -> Member:
        """Raises ValueError; Refused for a card that no authority of staff's issued."""
        if not set(entry.roles) <= ROLES:
            raise ValueError(f"{entry.name}: no such role")
        if len(ders) != 3:
            raise ValueError(f"{entry.name}: not 9A, 9D and 9E, in this order")
        auth, key_management, card_auth = ders
        loaded = certificate.load(auth)
        authorities = chain.authorities(self._anchors)
        # At the beginning of its life: acts outlive the card that signed them, and its authority.
        path = chain.find(auth, oids.POLICY_AUTH, authorities, loaded.not_valid_before_utc)
        if not self._test_issuers and any(
            oids.POLICY_TEST in certificate.policies(one) for one in path
        ):
            raise Refused("card-test-issuer")
        return Member(
            name=entry.name,
            roles=frozenset(entry.roles),
            certificates=CardCertificates(auth, key_management, card_auth),
            left_s=entry.left_s,
            auth=loaded,
        )
