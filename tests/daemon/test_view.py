"""What is seen from outside: codes, labels and numbers; nothing of card, finger or key."""

import dataclasses
import itertools

import msgspec
import pytest

from sdbox_agent import ipc
from sdbox_agent.card import verify
from sdbox_agent.card.apdu import Response
from sdbox_agent.centre import wire
from sdbox_agent.daemon import view
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.person import in_comparing
from tests.session.explore import CHALLENGE, FREE_CARD, KEY, LEASE, ONE, POLICY, TWO, admitted

SESSION = at.Session(3, 1, 0)


def access(**changed: object) -> at.Access:
    values = {
        "card": FREE_CARD, "answer": admitted(TWO), "challenge": CHALLENGE,
        "comparisons_left": 2, "attempts_left": 9,
    }  # fmt: skip
    return at.Access(**{**values, **changed})  # type: ignore[arg-type]


def states() -> list[at.State]:
    """One of each."""
    in_session = (at.Opening, at.Reserving)
    return [
        at.Idle(0),
        at.Checking(SESSION),
        at.Proving(SESSION, FREE_CARD),
        *(kind(SESSION, access()) for kind in in_session),
        at.PinEntry(SESSION, access(), 2, "enter-pin"),
        at.CodeEntry(SESSION, access(), "enter-code"),
        at.Scanning(SESSION, access(), "place-finger"),
        at.Comparing(SESSION, access(), 1),
        at.Comparing(SESSION, access(), 1, "finger-wet", waits=True),
        at.Choosing(SESSION, access(), 1),
        at.Signing(SESSION, access(), 1, "p1"),
        at.Tunnelling(SESSION, access(), "p1", KEY, LEASE),
        at.Open(SESSION, access(), "p1", 3.0, 2.0, pending=b"jws"),
        at.Closing(3, "card-removed", frozenset(), 1),
        at.Spent(3, "card-removed", frozenset()),
        at.Broken(3, "card-removed", frozenset()),
    ]


def test_every_state_can_be_shown_and_gives_no_secret_away() -> None:
    secrets = (FREE_CARD.auth, FREE_CARD.key_management, CHALLENGE, KEY, b"sealed", b"jws")
    names = set()
    for state in states():
        shown = view.view(state, 1.0)
        names.add(shown.state)
        line = msgspec.json.encode(shown)
        assert msgspec.json.decode(line, type=view.View) == shown
        for secret in secrets:
            assert msgspec.json.encode(secret)[1:-1] not in line
    assert names == {kind.__name__.lower() for kind in at.State.__args__}


def test_attempts_shown_are_the_least_of_card_and_session() -> None:
    for card, session in ((9, 2), (1, 3)):
        state = at.Scanning(SESSION, access(attempts_left=card, comparisons_left=session), "x-y")
        assert view.view(state, 0).attempts_left == min(card, session)


@pytest.mark.parametrize(
    ("centre", "session", "card", "shown"),
    [(9, 3, (5, 5), 3), (2, 3, (5, 5), 2), (9, 3, (1, 1), 2), (9, 3, (1,), 1), (1, 3, (15, 15), 1)],
)
def test_what_a_comparing_card_has_left_counts_too(
    centre: int, session: int, card: tuple[int, ...], shown: int
) -> None:
    fingers = (at.Finger("96", 2, card[0]), at.Finger("97", 7, card[-1]))[: len(card)]
    counted = access(attempts_left=centre, comparisons_left=session, fingers=fingers)
    assert view.view(at.Scanning(SESSION, counted, "x-y"), 0).attempts_left == shown


def test_fault_13_no_answer_of_a_card_shows_more_tries_than_the_centre_leaves() -> None:
    """63C0 to 63CF, at each count of the centre's: from the status word to what is shown."""
    for sw, centre in itertools.product(range(0x63C0, 0x63D0), range(11)):
        left = verify.decode_left(Response(b"", sw))
        fingers = (at.Finger("96", 2, 5), at.Finger("97", 7, 5))
        counted = access(attempts_left=centre, comparisons_left=3, fingers=fingers)
        comparing = at.Comparing(SESSION, counted, 1)
        state, _ = in_comparing(comparing, on.FingerRejected(SESSION.n, left), POLICY)
        shown = view.view(state, 0).attempts_left
        if isinstance(state, at.Scanning):
            assert shown is not None
            assert shown <= min(centre, 3, 5 + (left or 0))
        else:
            assert (state.code, centre) == ("card-locked", 0)


def test_projects_are_shown_only_while_one_is_chosen() -> None:
    choosing = at.Choosing(SESSION, access(), 1)
    assert [project.project for project in view.view(choosing, 0).projects] == ["p1", "p2"]
    opening = view.view(at.Signing(SESSION, access(), 1, "p2"), 0)
    assert (opening.projects, opening.project) == ((), "p2")


def test_post_quantum_is_said_of_an_open_tunnel_and_of_nothing_else() -> None:
    opened = view.view(at.Open(SESSION, access(), "p1", 1.0, 2.0), 0)
    assert opened.post_quantum == "ml-kem-768"
    building = view.view(at.Tunnelling(SESSION, access(), "p1", KEY, LEASE), 0)
    assert building.post_quantum is None


def test_the_longest_list_there_may_be_fits_a_frame() -> None:
    grants = tuple(
        wire.Grant(project=f"{n:03}" + "p" * 97, label="\U0001f4a9" * 200, code="a" * 41)
        for n in range(1000)
    )
    state = at.Choosing(SESSION, access(answer=admitted(grants)), 1)
    line = msgspec.json.encode(view.view(state, 0))
    assert len(line) <= ipc.MAX_FRAME_BYTES


@pytest.mark.parametrize("label", ["\x1b[2J", "a\nb", "a\u202eb", "\x9b1m"])
def test_a_label_commands_no_terminal(label: str) -> None:
    grants = (wire.Grant(project="p1", label=label), *TWO)
    state = at.Choosing(SESSION, access(answer=admitted(grants)), 1)
    assert view.view(state, 0).projects[0].label.isprintable()


def test_a_hint_and_an_end_are_shown_by_their_code() -> None:
    assert view.view(at.Scanning(SESSION, access(), "press-harder"), 0).code == "press-harder"
    within = view.view(at.Comparing(SESSION, access(), 1, "finger-wet", waits=True), 0)
    assert (within.code, within.waits) == ("finger-wet", True)
    assert view.view(at.Comparing(SESSION, access(), 1), 0).code is None
    assert view.view(at.Spent(3, "card-revoked", frozenset()), 0).code == "card-revoked"
    broken = view.view(at.Broken(3, "card-removed", frozenset()), 0)
    assert (broken.n, broken.code) == (dataclasses.astuple(SESSION)[0], "tunnel-not-down")


def test_what_the_centre_has_to_say_is_shown_from_the_finger_to_the_end() -> None:
    told = access(answer=admitted(ONE, notices=("re-enrol-soon",)))
    for state in (at.Scanning(SESSION, told, "x-y"), at.Open(SESSION, told, "p1", 3.0, 2.0)):
        assert view.view(state, 0).notices == ("re-enrol-soon",)


def test_who_opens_tls_is_shown_and_nothing_of_it_is_obeyed() -> None:
    spent = at.Spent(3, "tls-inspected", frozenset(), issuer="CN=x\x1b[2J")
    assert view.view(spent, 0).issuer == "CN=x [2J"
    assert view.view(at.Spent(3, "card-revoked", frozenset()), 0).issuer is None
