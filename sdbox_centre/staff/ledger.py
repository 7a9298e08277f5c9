"""The acts one process believes: verified one after the other, the newest of each subject at hand.

No database and no file: whoever has one shows what is in it, and what does not hold is not taken.
An act is believed once, by the roster of then; with another roster a process begins a new ledger.

An act that does not hold (any more: who signed it was struck from the roster) is passed over, and
its subject with it: what it may have taken away must not come back. Two people may say anew what is
true of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import jws
from sdbox_centre.staff import payload, rules

if TYPE_CHECKING:
    from sdbox_centre.staff.payload import Act
    from sdbox_centre.staff.roster import Roster

FRESH_S: Final = 7 * 86400  # between an act's date and the day it is entered: two may need some
AHEAD_S: Final = 300  # a station's clock before ours


@dataclass(frozen=True, slots=True)
class Signed:
    """An act, and by whom."""

    act: Act
    id: bytes
    statement: bytes
    names: tuple[str, ...]  # of the members who signed


class Ledger:
    """What was taken, by subject."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self._newest: dict[str, Signed] = {}
        self._by_id: dict[bytes, Signed] = {}
        self._last: dict[str, int] = {}  # by subject: the number of the last act, whatever it was

    def newest(self, subject: str) -> Signed | None:
        """The newest act on it."""
        return self._newest.get(subject)

    def by_id(self, act_id: bytes | None) -> Signed | None:
        """This act, if it is the newest on its subject."""
        return None if act_id is None else self._by_id.get(act_id)

    def take(self, signed: Signed) -> None:
        """Believe it from now on: what `check` or `check_new` returned, and was kept since."""
        self.pass_over(signed.act.subject, signed.act.n)
        self._newest[signed.act.subject] = self._by_id[signed.id] = signed

    def pass_over(self, subject: str, n: int) -> None:
        """There is an act of that number that does not hold: nothing is known of its subject."""
        before = self._newest.pop(subject, None)
        if before is not None:
            del self._by_id[before.id]
        self._last[subject] = n

    def last(self, subject: str) -> int:
        """The number of the last act on it, whether it held or not."""
        return self._last.get(subject, 0)

    def check(self, statement: bytes) -> Signed:
        """Whether it is the next act on its subject, signed by those who may, then.

        Raises Refused: statement-invalid, staff-not-allowed, act-superseded (it is not the next),
        two-persons-needed, and as `rules.check_next`.
        """
        signed = self._next(statement)
        if not self.is_enough(signed):
            raise Refused("two-persons-needed")
        return signed

    def check_new(self, statement: bytes, now_s: int) -> Signed:
        """The same of an act that is entered now: dated now, with cards that hold now.

        Raises as `check`, and Refused: act-stale, card-*; Fault: crl-*.
        """
        signed = self.check(statement)
        self._check_now(signed, now_s)
        return signed

    def check_proposed(self, statement: bytes, now_s: int) -> Signed:
        """The same of an act that a second person has yet to sign. Raises as `check_new`."""
        signed = self._next(statement)
        self._check_now(signed, now_s)
        return signed

    def is_enough(self, signed: Signed) -> bool:
        """Whether nobody else has to sign it."""
        before = self._before(signed.act)
        passed_over = before is None and signed.act.n > 1
        needed = 2 if passed_over else rules.signatures(signed.act, before)
        return len(set(signed.names)) >= needed

    def _next(self, statement: bytes) -> Signed:
        signed = self._read(statement)
        if signed.act.n != self.last(signed.act.subject) + 1:
            raise Refused("act-superseded")
        rules.check_next(signed.act, self._before(signed.act))
        return signed

    def _check_now(self, signed: Signed, now_s: int) -> None:
        if not now_s - FRESH_S < signed.act.utc_s <= now_s + AHEAD_S:
            raise Refused("act-stale")
        for thumbprint in jws.signers(signed.statement):
            self.roster.check_now(self.roster.member(thumbprint), now_s)

    def _before(self, act: Act) -> Act | None:
        newest = self._newest.get(act.subject)
        return None if newest is None else newest.act

    def _read(self, statement: bytes) -> Signed:
        """Signatures, roles and cards; whether it is the next, and signed by enough, is not seen.

        Raises Refused: statement-invalid, staff-not-allowed.
        """
        try:
            signers = [self.roster.member(one) for one in jws.signers(statement)]
            certificates = [one.certificates.auth for one in signers]
            act = payload.parse(jws.open_payload(payload.TYP, statement, certificates))
        except DecodeError:
            raise Refused("statement-invalid") from None
        for member in signers:
            if act.ROLE not in member.roles:
                raise Refused("staff-not-allowed")
            member.check_then(act.utc_s, self.roster.crls)
        names = tuple(member.name for member in signers)
        return Signed(act, payload.id_of(act), statement, names)


def claimed(statement: bytes) -> Act:
    """What a statement says, before anything of it is believed. Raises Refused."""
    try:
        return payload.parse(jws.unb64url(jws.read(statement).payload))
    except DecodeError:
        raise Refused("statement-invalid") from None
