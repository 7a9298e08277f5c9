"""Each level on the real rig: a good session to its end, and what it must refuse, one by one.

At card-match three counters run: the card's for each finger, the box's and the centre's.
"""

import dataclasses
from typing import Final

import pytest

from hil.card.applet import GENERAL_AUTHENTICATE
from hil.card.card import PivCard
from hil.card.keys import Algorithm
from hil.issuing import Holder
from sdbox_agent.daemon import view
from sdbox_agent.daemon.view import View
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.terms import Level
from sdbox_centre import access, authority
from sdbox_centre.staff import payload
from tests.hil.card.helpers import SELECT_PIV, three_n, verify
from tests.hil.refusals import HERE, SOMEBODY_ELSE, Bench, now

pytestmark = pytest.mark.rig

LEASE_S: Final = 6  # renewed after three
COMPARISONS: Final = 3  # of one session, by the centre's policy
TRIES: Final = 5  # of the card, for its PIN and for each finger
WRONG_PIN: Final = "135790"
FORMS: dict[str, tuple[str, Algorithm]] = {
    "raw P-256": ("piv-match", "P-256"),
    "raw P-384": ("piv-match", "P-384"),
    "7F2E P-256": ("piv-match-7816", "P-256"),
    "7F2E P-384": ("piv-match-7816", "P-384"),
}
VERIFY: Final = (0x20, 0x21)
BY_MATCH: Final = ("stranger", "other finger", "nearly blocked", "blocked", "only beta")
BY_PIN: Final = ("good", "wrong pin", "last try", "codes", "guesses", "expired", "only beta")


@dataclasses.dataclass
class People:
    """Everybody who will come to this box."""

    match: dict[str, Holder]
    pin: dict[str, Holder]
    host: dict[str, Holder]


def prepare(rig, people) -> People:
    issuing, centre = rig.issuing, rig.centre

    def projects(name: str) -> tuple[str, ...]:
        return ("p-beta",) if name == "only beta" else ("p-alpha", "p-beta")

    def match(name: str, kind: str, algorithm: Algorithm) -> Holder:
        card = issuing.match_card(HERE, kind, algorithm)
        holder = Holder(f"match-{name.replace(' ', '-')}", HERE, *card, level=Level.CARD_MATCH)
        centre.add_holder(holder, projects(name))
        return holder

    def by_pin(name: str) -> Holder:
        called = f"pin-{name.replace(' ', '-')}"
        return rig.enrol(called, seed=1, projects=projects(name), level=Level.CARD_PIN)

    centre.add_project("p-delta", "Delta study", [Level.CARD_MATCH])
    wants_pin = people.holder(issuing.card(pin_policy="once"))
    wants_pin.pin = "123456"  # as such a card is made
    usable = PivCard.create(fingers={"96": (2, three_n(1)), "97": (7, three_n(2))})
    return People(
        match={
            **{name: match(name, *form) for name, form in FORMS.items()},
            **{name: match(name, "piv-match", "P-256") for name in BY_MATCH},
            "PIN usable": people.holder(match_bound(issuing, usable), known=False),
            "without BITs": people.holder(match_bound(issuing, PivCard.create()), known=False),
        },
        pin={name: by_pin(name) for name in BY_PIN},
        host={
            "with PIN": wants_pin,
            "three projects": people.holder(projects=("p-alpha", "p-beta", "p-delta")),
        },
    )


def match_bound(issuing, card: PivCard) -> tuple[PivCard, CardCertificates]:
    """What no desk issues: its certificate says that no PIN opens the card, and nobody looked."""
    public, guid = card.public_keys(), card.guid.bytes
    keys = authority.CardKeys(public["9A"], public["9D"], public["9E"])
    profile = authority.CARD_9A_MATCH_BOUND
    subject = authority.card_subject(guid, "Test holder")
    bound = issuing.cards.issue(profile, subject, keys.auth, now() - authority.BACKDATED)
    issued = issuing.cards.card(keys, guid, "Test holder", now())
    issued = dataclasses.replace(issued, auth=authority.der_of(bound))
    card.install({"9A": issued.auth, "9D": issued.key_management, "9E": issued.card_auth})
    return card, issued


def spend(card: PivCard, times: int, *commands: bytes) -> None:
    """Somebody tried elsewhere: each of these commands so often, on one power-on."""
    chip = card.power_on()
    chip.transmit(SELECT_PIV)
    for command in commands:
        for _ in range(times):
            assert chip.transmit(command)[0] == 0x63


def touched(key: int) -> bytes:
    """VERIFY with a finger that is nobody's."""
    probe = three_n(77)
    return bytes([0x00, 0x20, 0x00, key, len(probe)]) + probe


def tries(holder: Holder) -> tuple[int, int]:
    return holder.card.match_tries_left("96"), holder.card.match_tries_left("97")


def counted(bench: Bench, holder: Holder) -> tuple[int, int]:
    """Failures, as centre and box have them."""
    box = bench.box_row(holder)
    return bench.centre_row(holder)[0], access.LOCKED_FAILURES - box.left if box else 0


def lived(bench: Bench, n: int) -> list[View]:
    return [one for one in bench.watch.views if one.n == n]


def at_level(bench: Bench, n: int, level: Level) -> set[str]:
    """The states of session `n`, whose level was this one and no other."""
    views = lived(bench, n)
    assert {one.level for one in views if one.level is not None} == {level.value}
    return {one.state for one in views}


# -- card-match ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_good_session_at_card_match(bench: Bench, people: People, form: str) -> None:
    holder = people.match[form]
    opened = bench.enter(holder)
    assert opened.state == "open", opened.code
    bench.renewed(1)
    assert bench.leave().code == "card-removed"
    states = at_level(bench, opened.n, Level.CARD_MATCH)
    assert states.isdisjoint({"pinentry", "codeentry"})
    assert counted(bench, holder) == (0, 0)
    assert tries(holder) == (TRIES, TRIES)
    told = bench.stay.log
    given = [(one.ins, one.p2) for one in told if one.ins in VERIFY and one.command_bytes > 5]
    assert given == [(VERIFY[form.startswith("7F2E")], 0x96)], "one probe, and no PIN"
    used = [one.p2 for one in told if one.ins == GENERAL_AUTHENTICATE]
    assert used == [0x9E, 0x9A, 0x9A], "proof, receipt, renewal; nothing is sealed to it"


def test_a_strangers_finger_is_counted_three_times_over(bench: Bench, people: People) -> None:
    holder = people.match["stranger"]
    first = bench.to_finger(holder)
    assert (first.state, first.finger, first.attempts_left) == ("scanning", HERE.positions[0], 3)
    after = bench.touch(SOMEBODY_ELSE)
    assert (after.state, after.code, after.finger) == (
        "scanning", "other-finger", HERE.positions[1],
    )  # fmt: skip
    assert (after.attempts_left, tries(holder), counted(bench, holder)) == (2, (4, 5), (1, 1))
    after = bench.touch(SOMEBODY_ELSE)
    assert (after.code, after.finger) == ("other-finger", HERE.positions[0])
    assert (after.attempts_left, tries(holder), counted(bench, holder)) == (1, (4, 4), (2, 2))
    bench.touch(SOMEBODY_ELSE)
    spent = bench.refused("attempts-exhausted", "comparing")
    bench.recorded("no-match", spent.n, COMPARISONS)
    bench.recorded("attempt-reserved", spent.n, COMPARISONS)
    assert (tries(holder), counted(bench, holder)) == ((3, 4), (3, 3))
    assert "codeentry" not in at_level(bench, spent.n, Level.CARD_MATCH)
    bench.clear()
    # The right finger is still right: centre and box forgive all, the card that finger alone.
    assert bench.enter(holder).state == "open"
    bench.leave()
    assert (tries(holder), counted(bench, holder)) == ((TRIES, 4), (0, 0))


def test_the_other_finger_opens_after_a_non_match(bench: Bench, people: People) -> None:
    holder = people.match["other finger"]
    assert bench.to_finger(holder).finger == HERE.positions[0]
    asked = bench.touch(SOMEBODY_ELSE)
    assert (asked.code, asked.finger) == ("other-finger", HERE.positions[1])
    bench.touch(HERE, HERE.positions[1])
    assert bench.watch.state("open", "spent").state == "open"
    assert tries(holder) == (TRIES - 1, TRIES)
    bench.leave()
    assert counted(bench, holder) == (0, 0)


def test_a_card_that_blocks_its_fingers_ends_the_session(bench: Bench, people: People) -> None:
    holder = people.match["nearly blocked"]
    spend(holder.card, TRIES - 1, touched(0x96), touched(0x97))
    first = bench.to_finger(holder)
    assert first.attempts_left == 2, "the card has fewer than session, box and centre"
    after = bench.touch(SOMEBODY_ELSE)
    assert (after.code, after.finger) == ("other-finger", HERE.positions[1])
    assert (after.attempts_left, tries(holder)) == (1, (0, 1))
    bench.touch(SOMEBODY_ELSE)
    spent = bench.refused("card-blocked", "comparing")
    bench.recorded("no-match", spent.n, 2)
    assert (tries(holder), counted(bench, holder)) == ((0, 0), (2, 2))


def test_a_card_with_both_fingers_blocked_asks_for_none(bench: Bench, people: People) -> None:
    holder = people.match["blocked"]
    spend(holder.card, TRIES, touched(0x96), touched(0x97))
    stay = bench.turn().insert(holder.card)
    spent = bench.refused("card-blocked", "proving")
    assert [one for one in stay.log if one.ins in VERIFY and one.command_bytes > 5] == []
    assert "pinentry" not in {one.state for one in lived(bench, spent.n)}
    assert counted(bench, holder) == (0, 0)


@pytest.mark.parametrize(
    ("which", "code"), [("PIN usable", "card-pin-usable"), ("without BITs", "card-not-match-bound")]
)
def test_a_match_bound_certificate_on_a_card_that_is_not(
    bench: Bench, people: People, which: str, code: str
) -> None:
    bench.turn().insert(people.match[which].card)
    bench.refused(code, "checking")  # before the centre is asked, and long before the finger


@pytest.mark.parametrize("level", ["match", "pin"])
def test_a_project_at_host_match_alone_lets_nobody_else_in(
    bench: Bench, people: People, level: str
) -> None:
    bench.turn().insert(getattr(people, level)["only beta"].card)
    bench.refused("level-not-accepted", "proving")


def test_a_project_that_wants_card_match_is_shown_and_not_to_be_chosen(
    bench: Bench, people: People
) -> None:
    assert bench.to_finger(people.host["three projects"]).level == "host-match"
    choosing = bench.touch(HERE)
    assert [(one.project, one.code) for one in choosing.projects] == [
        ("p-alpha", None), ("p-beta", None), ("p-delta", "level-not-accepted"),
    ]  # fmt: skip
    refused = view.NotTaken(code="level-not-accepted")
    assert bench.rig.operator.choose("p-delta") == refused
    bench.nothing_begins(for_s=0.5)
    assert bench.rig.operator.choose("p-alpha") == view.Taken()
    assert bench.watch.state("open", "spent").level == "host-match"
    bench.leave()


# -- card-pin --------------------------------------------------------------------------------------


def to_code(bench: Bench, holder: Holder) -> View:
    asked = bench.to_person(holder)
    assert (asked.state, asked.level) == ("pinentry", "card-pin"), asked.code
    assert bench.rig.operator.pin(holder.pin) == 0
    return bench.watch.state("codeentry", "spent")


def code(bench: Bench, digits: str) -> View:
    """Typed; the state after the centre's word on it."""
    assert bench.rig.operator.code(digits) == view.Taken()
    bench.watch.state("reserving", "spent")
    return bench.watch.until(lambda one: one.state != "reserving", "the centre's word")


def test_a_good_session_at_card_pin(bench: Bench, people: People) -> None:
    holder = people.pin["good"]
    opened = bench.enter(holder)
    assert opened.state == "open", opened.code
    bench.renewed(1)
    assert bench.leave().code == "card-removed"
    states = at_level(bench, opened.n, Level.CARD_PIN)
    assert {"pinentry", "codeentry"} < states
    assert states.isdisjoint({"opening", "scanning", "comparing"}), "nobody asks for a finger"
    for told in ("pin-accepted", "code-accepted"):
        bench.recorded(told, opened.n)
    assert counted(bench, holder) == (0, 0)


def test_a_wrong_pin_costs_the_card_and_nobody_else(bench: Bench, people: People) -> None:
    holder = people.pin["wrong pin"]
    spend(holder.card, TRIES - 3, verify(b"135790\xff\xff"))
    asked = bench.to_person(holder)
    assert (asked.code, asked.pin_left) == ("enter-pin", 3)
    assert bench.rig.operator.pin(WRONG_PIN) != 0
    asked = bench.watch.until(lambda one: one.pin_left != 3, "a try fewer")
    assert (asked.state, asked.code, asked.pin_left) == ("pinentry", "pin-wrong", 2)
    assert bench.rig.operator.pin(WRONG_PIN) != 0
    asked = bench.watch.until(lambda one: one.pin_left != 2, "a try fewer")
    assert (asked.state, asked.code, asked.pin_left) == ("pinentry", "pin-last-try", 1)
    assert bench.rig.operator.pin(holder.pin) != 0, "nobody said that it is the last"
    assert holder.card.pin_tries_left == 1
    assert bench.rig.operator.pin(WRONG_PIN, "--last-try") != 0
    spent = bench.refused("card-blocked", "pinentry")
    bench.recorded("pin-wrong", spent.n, 3)
    assert holder.card.pin_tries_left == 0
    assert counted(bench, holder) == (0, 0)
    bench.clear()
    bench.turn().insert(holder.card)
    bench.refused("card-blocked", "proving")


def test_the_last_try_may_be_the_right_one(bench: Bench, people: People) -> None:
    holder = people.pin["last try"]
    spend(holder.card, TRIES - 1, verify(b"135790\xff\xff"))
    asked = bench.to_person(holder)
    assert (asked.code, asked.pin_left) == ("pin-last-try", 1)
    assert bench.rig.operator.pin(holder.pin, "--last-try") == 0
    assert bench.watch.state("codeentry", "spent").state == "codeentry"
    assert holder.card.pin_tries_left == TRIES
    bench.cancel()
    bench.refused("cancelled", "codeentry")


def test_a_code_is_right_once_and_after_the_pin(bench: Bench, people: People) -> None:
    holder = people.pin["codes"]
    asked = bench.to_person(holder)
    used = holder.device.code()
    assert bench.rig.operator.code(used) == view.NotTaken(code="not-allowed"), "the PIN comes first"
    bench.nothing_begins(for_s=0.3)
    assert asked.state == "pinentry"
    assert bench.rig.operator.pin(holder.pin) == 0
    assert bench.watch.state("codeentry", "spent").state == "codeentry"
    bench.rig.operator.code(used)
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()
    bench.clear()

    assert to_code(bench, holder).attempts_left == COMPARISONS
    for failures, digits in enumerate((used, "000000"), 1):  # used already; nobody's
        after = code(bench, digits)
        assert (after.state, after.code) == ("codeentry", "code-wrong")
        assert after.attempts_left == COMPARISONS - failures
        assert counted(bench, holder) == (failures, failures)
    bench.recorded("code-wrong", after.n, 2)
    bench.rig.operator.code(holder.device.code())
    assert bench.watch.state("open", "spent").state == "open"
    bench.leave()
    assert counted(bench, holder) == (0, 0)


def test_three_wrong_codes_end_the_session(bench: Bench, people: People) -> None:
    holder = people.pin["guesses"]
    assert to_code(bench, holder).state == "codeentry"
    for digits in ("000000", "000001"):
        assert code(bench, digits).code == "code-wrong"
    bench.rig.operator.code("000002")
    spent = bench.refused("attempts-exhausted", "reserving")
    bench.recorded("code-wrong", spent.n, COMPARISONS)
    bench.recorded("attempt-reserved", spent.n, COMPARISONS)
    assert counted(bench, holder) == (COMPARISONS, COMPARISONS)


def test_an_enrolment_without_a_finger_has_an_end(bench: Bench, people: People) -> None:
    holder = people.pin["expired"]
    over_s = int(now().timestamp()) - 1
    dates = {"not_before_s": over_s - 3600, "not_after_s": over_s}
    with bench.rig.centre.acting() as staff:
        act = staff.office.change(payload.Enrolment, "test", holder=holder.name, **dates)
        staff.enter(act)
    bench.turn().insert(holder.card)
    bench.refused("enrolment-expired", "proving")
    assert holder.card.pin_tries_left == TRIES


def test_card_pin_is_never_offered_because_a_finger_failed(bench: Bench, people: People) -> None:
    holder = people.host["with PIN"]
    for _ in range(2):
        assert bench.to_person(holder).state == "pinentry"
        assert bench.rig.operator.pin(holder.pin) == 0
        assert bench.watch.state("scanning", "spent").state == "scanning"
        if counted(bench, holder) == (0, 0):
            for _ in range(COMPARISONS):
                bench.touch(SOMEBODY_ELSE)
            spent = bench.refused("attempts-exhausted", "comparing")
        else:
            bench.touch(HERE)
            spent = bench.watch.state("open", "spent")
            assert spent.state == "open"
        assert "codeentry" not in at_level(bench, spent.n, Level.HOST_MATCH)
        bench.clear()
