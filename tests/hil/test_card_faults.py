"""What a card can do wrong in the middle of a whole session, core, centre and tunnel included.

The same faults against the card's side alone: tests/card/test_pcsc.py, test_conversation.py.
"""

import time
from typing import Final

import pytest

from hil.card.applet import GENERAL_AUTHENTICATE
from hil.card.faults import (
    EndlessMore,
    Fault,
    MalformObject,
    MuteAt,
    Refuse,
    ReplaceObject,
    ResetAt,
    SwapAt,
)
from hil.card.malformed import Malformation, gzip_bomb
from hil.card.objects import Tag
from hil.issuing import Holder
from hil.scenarios import session
from sdbox_agent.daemon.view import View
from sdbox_agent.terms import Level
from sdbox_centre import access
from tests.hil.refusals import HERE, Bench
from tests.hil.test_finger_refusals import set_failures

pytestmark = pytest.mark.rig

GIVES_UP_S: Final = 10.0  # no card may hold a person longer
LOOKS_AGAIN_S: Final = 5.0  # the card worker looks for pcscd at least every 2 s
BOMB_BYTES: Final = 12 << 20
VERIFY: Final = 0x20
COUNTER: Final = 0x63C0  # ISO/IEC 7816-4: 63CX, X tries left


def prepare(rig, people) -> dict[str, Holder]:
    names = ("good", "another", "swapped", "faulty")
    matching = {
        name: rig.enrol(f"test-holder-{name}", seed=1, level=Level.CARD_MATCH)
        for name in ("reset", "fifteen")
    }
    return {**{name: people.holder() for name in names}, **matching}


@pytest.fixture(scope="module")
def used(rig) -> dict[int, int]:
    """Which command of a session uses which key: 9E proves, 9D opens, 9A signs the receipt."""
    bench, people = rig
    assert bench.enter(people["good"]).state == "open"
    bench.leave()
    return {one.p2: one.n for one in bench.stay.log if one.ins == GENERAL_AUTHENTICATE}


def over(bench: Bench, holder: Holder, *faults: Fault) -> View:
    """A session up to its end, the finger given if it is asked for; nothing may be left."""
    bench.rig.operator.remove()
    bench.rig.operator.insert(holder.card, faults)  # into the same reader: it has seen it go
    seen = bench.watch.state("scanning", "closing")
    if seen.state == "scanning":
        bench.rig.operator.place(HERE)
        seen = bench.watch.state("open", "closing")
    assert seen.state == "closing", "it got in"
    spent = bench.watch.state("spent", "broken")
    assert (spent.state, spent.code) == ("spent", seen.code)
    bench.recorded(spent.code, spent.n)
    assert session.residue(bench.rig) == []
    return spent


def test_fault_9_another_card_behind_the_same_connection(
    bench: Bench, people: dict[str, Holder], used: dict[int, int]
) -> None:
    """From the proof to the receipt, at every command: neither of the two cards gets in."""
    other, found = people["another"].card, {}
    commands = range(used[0x9E], used[0x9A] + 1)
    for n in commands:
        set_failures(bench, people["swapped"], 0)
        found[n] = over(bench, people["swapped"], SwapAt(n, other, silently=True)).code
    in_use = {0x9E: "card-failed", 0x9D: "reference-altered", 0x9A: "card-failed"}
    expected = dict.fromkeys(commands, "card-removed")
    expected |= {used[key]: code for key, code in in_use.items()}
    assert found == expected
    assert bench.centre_row(people["another"]) == (0, 0)


def test_fault_10_a_mute_card_costs_ten_seconds_and_the_next_one_nothing(
    bench: Bench, people: dict[str, Holder]
) -> None:
    began_s = time.monotonic()
    assert over(bench, people["faulty"], MuteAt(4)).code == "card-mute"
    assert time.monotonic() - began_s < 2 * GIVES_UP_S  # with the rest of the session, under load
    bench.clear()
    assert bench.enter(people["good"]).state == "open"
    bench.leave()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (EndlessMore(2), "card-data-invalid"),
        (ReplaceObject(Tag.CERTIFICATE_9A, None), "card-data-invalid"),
        (ReplaceObject(Tag.CERTIFICATE_9E, gzip_bomb(BOMB_BYTES)), "card-data-invalid"),
        *((MalformObject(Tag.CERTIFICATE_9D, how), "card-data-invalid") for how in Malformation),
        (Refuse(0x6983, GENERAL_AUTHENTICATE, 0x9A), "card-blocked"),
        (Refuse(0x6982, GENERAL_AUTHENTICATE, 0x9A), "card-key-refused"),
    ],
    ids=["61FF for ever", "no 9A", "bomb", *(how.name for how in Malformation), "6983", "6982"],
)
def test_a_card_that_answers_so_is_refused_by_name(
    bench: Bench, people: dict[str, Holder], fault: Fault, code: str
) -> None:
    assert over(bench, people["faulty"], fault).code == code


def test_a_reset_between_match_and_signature_takes_the_match_away(
    bench: Bench, people: dict[str, Holder]
) -> None:
    """As by another program's hand: nothing that was proved before it is used after it."""
    assert bench.enter(people["reset"]).state == "open"
    bench.leave()
    uses = (GENERAL_AUTHENTICATE, 0x9A)
    signs = next(one.n for one in bench.stay.log if (one.ins, one.p2) == uses)
    assert over(bench, people["reset"], ResetAt(signs)).code == "card-failed"


def test_fault_13_a_card_that_says_it_has_fifteen_tries_is_not_shown_them(
    bench: Bench, people: dict[str, Holder]
) -> None:
    """63CF to each question about the finger: centre and session count too, and the least shows."""
    holder, left = people["fifteen"], 2
    set_failures(bench, holder, access.LOCKED_FAILURES - left)
    bench.turn().insert(holder.card, [Refuse(COUNTER | 15, VERIFY, 0x96)])
    assert bench.watch.state("scanning", "spent").attempts_left == left
    bench.cancel()
    bench.refused("cancelled", "scanning")


def test_fault_20_out_and_in_again_at_once_is_another_session(
    bench: Bench, people: dict[str, Holder]
) -> None:
    opened = bench.enter(people["good"])
    assert opened.state == "open"
    readers = [bench.rig.pcscd.reader(number) for number in (0, 1)]
    (slot,) = [one for one in readers if one.in_contact]
    slot.remove()
    time.sleep(0.1)
    slot.insert(people["good"].card, at_once=True)
    # Seen after the end, the card must come out or begins anew; seen while it closes, it begins.
    after = bench.watch.state("spent", "broken", "checking")
    assert (after.n, after.state) in {(opened.n, "spent"), (opened.n + 1, "checking")}
    closing = next(one for one in bench.watch.views if (one.n, one.state) == (opened.n, "closing"))
    assert closing.code == "card-removed"
    assert session.residue(bench.rig) == []


def test_fault_1_a_box_that_boots_without_pcscd_waits_for_it(
    bench: Bench, people: dict[str, Holder]
) -> None:
    rig = bench.rig
    rig.pcscd.stop()
    rig.box.stop()
    rig.box.start()
    bench.watch.close()
    bench.watch = rig.watch()
    bench.watch.state("idle")
    rig.pcscd.start()
    time.sleep(LOOKS_AGAIN_S)  # what was in before its first look must come out first
    assert bench.enter(people["good"]).state == "open"
    bench.leave()
