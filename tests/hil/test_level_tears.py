"""The card torn at every command of a session, at card-match and at card-pin, one renewal included.

Enumerated: each command, at each of three moments. A check plays one share of five, another each
day (it stands in the test's name); `make full` (FULL=1) plays all. Host-match: test_faults_pulls.
"""

import datetime as dt
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from hil.card.applet import GENERAL_AUTHENTICATE
from hil.card.faults import TearAsSpent, TearAt, TearPoint
from hil.card.references import VERIFY, VERIFY_OBJECT
from hil.finger import Person
from hil.issuing import Holder
from hil.scenarios import session
from sdbox_agent.daemon.view import View
from sdbox_agent.terms import Level
from sdbox_centre import access
from tests.hil.refusals import HERE, SHOWN_WITHIN_MS, SOMEBODY_ELSE, Bench, started

pytestmark = pytest.mark.rig

LEASE_S: Final = 6  # renewed after three
TRIES: Final = 5  # of a card, for its PIN and for each finger
SHARES: Final = 5  # prime to the number of moments: a share has some of each
TODAY: Final = dt.datetime.now(dt.UTC).toordinal() % SHARES
PLAYED: Final = range(SHARES) if os.environ.get("FULL") else (TODAY,)
KINDS: Final = {"raw": "piv-match", "7F2E": "piv-match-7816", "PIN": "piv-pin"}
PEOPLE: Final = 4  # of each kind, so that not every attempt is counted on one card


@dataclass(frozen=True)
class Whole:
    """The commands of a whole session with one renewal, counted from 1."""

    verify: int  # brings the finger or the PIN
    sign: int  # has the receipt signed: the last before the tunnel is up
    renew: int  # has the renewal signed: the last of all


class Tearing:
    """A bench, and the people of each kind in turn."""

    def __init__(self, bench: Bench, people: dict[str, list[Holder]]) -> None:
        self.bench = bench
        self._turns = {kind: itertools.cycle(holders) for kind, holders in people.items()}
        self._whole: dict[str, Whole] = {}

    def holder(self, kind: str) -> Holder:
        """The next one, with attempts enough: a good session gives them back."""
        holder = next(self._turns[kind])
        if self.failures(holder)[0] >= access.FREE_FAILURES - 1:
            self.good(holder)
        return holder

    def failures(self, holder: Holder) -> tuple[int, int]:
        """As centre and box count them."""
        box = self.bench.box_row(holder)
        counted = access.LOCKED_FAILURES - box.left if box else 0
        return self.bench.centre_row(holder)[0], counted

    def good(self, holder: Holder, renewals: int = 0) -> None:
        """A whole session; every counter is full after it."""
        opened = self.bench.enter(holder)
        assert opened.state == "open", (opened.state, opened.code)
        self.bench.renewed(renewals)
        assert self.bench.leave().code == "card-removed"
        assert (self.failures(holder), tries(holder)) == ((0, 0), TRIES)

    def whole(self, kind: str) -> Whole:
        """Measured once, on a session like those to come."""
        if kind not in self._whole:
            self.good(next(self._turns[kind]), renewals=1)
            log = self.bench.stay.log
            signed = [one.n for one in log if (one.ins, one.p2) == (GENERAL_AUTHENTICATE, 0x9A)]
            given = [
                one.n
                for one in log
                if one.ins in {VERIFY, VERIFY_OBJECT} and one.command_bytes > 5 and not one.p1
            ]
            (verify,), (sign, renew) = given, signed
            self._whole[kind] = Whole(verify, sign, renew)
        return self._whole[kind]

    def torn(self, holder: Holder, fault: TearAt | TearAsSpent, finger: Person = HERE) -> list[str]:
        """A session in which the card goes at that command; what its record tells."""
        bench = self.bench
        stay = bench.turn().insert(holder.card, [fault])
        closing = self._on(holder, finger)
        assert stay.apdus == fault.n, "the tear did not happen where it should"
        stay.wait_ended()  # the box may know before the card's own thread has noted it
        assert stay.removed_at_ns is not None
        spent = bench.watch.state("spent", "broken")
        assert (closing.code, spent.state, spent.code) == ("card-removed", "spent", "card-removed")
        assert spent.mono_ms - stay.removed_at_ns / 1e6 < SHOWN_WITHIN_MS
        assert session.residue(bench.rig) == []
        told = [entry.code for entry in bench.told(spent.n)]
        assert told[0] == "card-inserted", told
        assert told.count("card-removed") == 1, told
        return told

    def _on(self, holder: Holder, finger: Person) -> View:
        """Give what is asked for, each thing once, until the session closes."""
        bench, wanted = self.bench, [*session.ASKING, "closing"]
        while (seen := bench.watch.state(*wanted)).state != "closing":
            wanted = wanted[wanted.index(seen.state) + 1 :]
            if seen.state == "pinentry":
                bench.rig.operator.pin(holder.pin)  # the prompt may tell that the card is gone
            elif seen.state == "codeentry":
                bench.rig.operator.code(holder.device.code())
            else:
                bench.rig.operator.place(finger)
        return seen


def tries(holder: Holder) -> int:
    """What the card has left for what it is given: the first finger, or the PIN."""
    if holder.level is Level.CARD_PIN:
        return holder.card.pin_tries_left
    return holder.card.match_tries_left("96")


def prepare(rig, _people) -> dict[str, list[Holder]]:
    def one(kind: str, n: int) -> Holder:
        if kind == "PIN":
            return rig.enrol(f"{kind}-{n}", seed=1, level=Level.CARD_PIN)
        card = rig.issuing.match_card(HERE, KINDS[kind])
        holder = Holder(f"{kind}-{n}", HERE, *card, level=Level.CARD_MATCH)
        rig.centre.add_holder(holder, ("p-alpha",))
        return holder

    return {kind: [one(kind, n) for n in range(PEOPLE)] for kind in KINDS}


@pytest.fixture(scope="module")
def rig() -> Iterator[Tearing]:
    with started(prepare, LEASE_S) as (bench, people):
        yield Tearing(bench, people)


@pytest.fixture
def tearing(rig: Tearing) -> Iterator[Tearing]:
    yield rig
    rig.bench.clear()


def cases(whole: Whole, share: int) -> Iterator[TearAt]:
    every = [TearAt(n, point) for n in range(1, whole.renew + 1) for point in TearPoint]
    return itertools.islice(every, share, None, SHARES)


def judge(tearing: Tearing, holder: Holder, fault: TearAt, whole: Whole) -> None:
    """Tear, and see that nobody has gained a try by it, nor lost one that was not spent."""
    before = tearing.failures(holder)
    told = tearing.torn(holder, fault)
    after = tearing.failures(holder)
    assert tries(holder) == TRIES, "what was given was right"
    assert ("tunnel-up" in told) is (fault.n > whole.sign), told
    assert ("receipt-signed" in told) is (fault.n > whole.sign), told
    assert "lease-renewed" not in told
    if fault.n > whole.sign:
        assert after == (0, 0), "an accepted receipt gives all back"
    else:
        spent = told.count("attempt-reserved")
        assert after == (before[0] + spent, before[1] + spent)
        if holder.level is Level.CARD_PIN:
            assert spent == (fault.n > whole.verify), "the code comes after the PIN"
        else:
            assert spent >= (fault.n >= whole.verify), "the attempt is counted before it is made"


@pytest.mark.parametrize("share", PLAYED, ids=lambda share: f"share {share + 1} of {SHARES}")
@pytest.mark.parametrize("kind", KINDS)
def test_a_card_torn_at_any_command_ends_the_session(
    tearing: Tearing, kind: str, share: int
) -> None:
    whole = tearing.whole(kind)
    for fault in cases(whole, share):
        try:
            judge(tearing, tearing.holder(kind), fault, whole)
        except AssertionError as error:
            where = f"torn at command {fault.n} of {whole.renew}, {fault.point.value}"
            raise AssertionError(where) from error


@pytest.mark.parametrize(
    ("finger", "fault"),
    [(HERE, TearAsSpent), (SOMEBODY_ELSE, TearAsSpent), (SOMEBODY_ELSE, TearAt)],
    ids=["right, in the comparison", "wrong, in the comparison", "wrong, before the answer"],
)
@pytest.mark.parametrize("kind", ["raw", "7F2E"])
def test_fault_4_torn_as_it_compares_card_box_and_centre_have_counted(
    tearing: Tearing, kind: str, finger: Person, fault: type[TearAsSpent | TearAt]
) -> None:
    holder, whole = tearing.holder(kind), tearing.whole(kind)
    before = tearing.failures(holder)
    told = tearing.torn(holder, fault(whole.verify), finger)
    assert "attempt-reserved" in told
    assert "finger-matched" not in told
    assert tearing.failures(holder) == (before[0] + 1, before[1] + 1)
    assert tries(holder) == TRIES - 1
    tearing.good(holder)


def test_torn_as_it_compares_a_pin_the_card_alone_has_counted(tearing: Tearing) -> None:
    holder, whole = tearing.holder("PIN"), tearing.whole("PIN")
    before = tearing.failures(holder)
    told = tearing.torn(holder, TearAsSpent(whole.verify))
    assert "pin-accepted" not in told
    assert (tearing.failures(holder), tries(holder)) == (before, TRIES - 1)
    tearing.good(holder)
