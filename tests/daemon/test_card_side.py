"""A card is believed only when read, listed and signing as asked; late words change nothing."""

import hashlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import ipc
from sdbox_agent.audit import outbox, record
from sdbox_agent.centre import wire
from sdbox_agent.daemon.card_side import CardSide
from sdbox_agent.daemon.trust import Trust
from sdbox_agent.errors import Refused
from sdbox_agent.session import events as on
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from tests import kinds
from tests.daemon import cards
from tests.daemon.parts import UTC_S, Bench, Calls, Link, N

PROOF = fields.Proof(box="box-01", session="boot-7", challenge=bytes(32))
RECEIPT = fields.Receipt(
    box="box-01", session="boot-7", challenge=bytes(32), enrolment="e1", reference_sha256=bytes(32),
    attempt=1, level=Level.HOST_MATCH, project="p1", wg_public_key=bytes(32),
    kem_key_sha256=bytes(32), utc_s=UTC_S,
)  # fmt: skip


class Identity:
    """The box's statement key: here any P-256 key with any certificate for it."""

    statement_certificate_der = cards.card().certificates.auth

    def sign_statement(self, payload: bytes, protected: bytes) -> bytes:
        return cards.parties.sign(cards.card().auth, jws.signing_input(protected, payload))


class Side:
    def __init__(self, *, clock_set: bool = True) -> None:
        self.bench, self.calls = Bench(clock_set=clock_set), Calls()
        trust = Trust((cards.anchor(),), (), self.bench.marks, (kinds.FREE,))
        self.side = CardSide(
            self.bench.context,
            self.calls,  # type: ignore[arg-type]
            trust,
            Identity(),  # type: ignore[arg-type]
            self.bench.received,
            ("r", "s").__contains__,
        )
        self.link = self.side.link = Link()  # type: ignore[assignment]
        self.side.heard(ipc.ReadersChanged(readers=("r",)))
        self.side.heard(ipc.Inserted(reader="r", insertion=1))
        assert self.fed.pop() == on.CardInserted(1)

    @property
    def fed(self) -> list[on.Event]:
        return self.bench.fed

    def lists(self, *crls: bytes) -> None:
        self.calls.answer(wire.CrlsAnswer(crls=crls or (cards.crl(1),)))


@pytest.fixture
def side() -> Side:
    return Side()


@pytest.fixture
def accepted(side: Side) -> Side:
    side.side.open(N, 1)
    side.lists()
    side.side.heard(cards.opened())
    assert isinstance(side.fed.pop(), on.CardAccepted)
    side.link.sent.clear()
    return side


def test_the_card_is_read_while_the_lists_are_fetched(side: Side) -> None:
    side.side.open(N, 1)
    assert side.link.sent[0].insertion == 1
    assert side.calls.request() == ("crls", ())
    side.side.heard(cards.opened())
    assert side.fed == [], "not before the lists"
    side.lists()
    assert isinstance(side.fed[0], on.CardAccepted)
    assert side.fed[0].n == N


def test_a_list_that_revokes_is_heeded_and_a_centre_away_leaves_those_at_hand(side: Side) -> None:
    side.side.open(N, 1)
    side.side.heard(cards.opened())
    side.lists(cards.crl(5, cards.card().certificates.auth))
    assert side.bench.failed() == "card-revoked"
    side.side.close(N)
    side.side.open(N, 1)
    side.calls.fail("centre-unreachable")
    side.side.heard(cards.opened())
    assert side.bench.failed() == "card-revoked"


def test_a_list_that_comes_meanwhile_judges_the_card_that_is_in(accepted: Side) -> None:
    accepted.side.refresh_lists()
    ((_, _, had),) = before = recorded(accepted)
    assert accepted.calls.request() == ("crls", (bytes.fromhex(str(had)),))
    new = cards.crl(5)
    accepted.lists(new)
    assert accepted.fed == []
    now = ("received-list", None, hashlib.sha256(new).hexdigest())
    assert recorded(accepted) == [*before, now]
    accepted.side.refresh_lists()
    accepted.lists(cards.crl(6, cards.card().certificates.auth))
    assert accepted.bench.failed() == "card-revoked"


def test_a_list_that_is_no_good_ends_nothing_and_neither_does_a_centre_away(accepted: Side) -> None:
    accepted.side.refresh_lists()
    accepted.calls.fail("centre-unreachable")
    for bad in (b"nonsense", cards.crl(0)):  # no list; one with a number that went back
        accepted.side.refresh_lists()
        accepted.lists(bad)
    assert accepted.fed == []


def test_a_list_that_comes_without_a_card_is_kept_for_the_next(side: Side) -> None:
    side.side.refresh_lists()
    side.lists(cards.crl(5, cards.card().certificates.auth))
    assert side.fed == []
    side.side.open(N, 1)
    side.calls.fail("centre-unreachable")
    side.side.heard(cards.opened())
    assert side.bench.failed() == "card-revoked"


def test_the_readers_are_counted_while_somebody_watches_them(side: Side) -> None:
    assert side.side.readers == 1
    side.side.heard(ipc.ReadersChanged(readers=("r", "s")))
    assert side.side.readers == 2
    side.side.lost()
    assert side.side.readers == 0


def test_without_any_list_and_without_a_centre_no_card_goes_on(side: Side) -> None:
    side.side.open(N, 1)
    side.side.heard(cards.opened())
    side.calls.fail("centre-unreachable")
    assert side.bench.failed() == "centre-unreachable", "the cause, not its consequence"


def test_before_the_first_hello_the_session_ends_as_clock_unset() -> None:
    side = Side(clock_set=False)
    side.side.open(N, 1)
    side.side.heard(cards.opened())
    side.lists()
    assert side.bench.failed() == "clock-unset"


def test_what_an_ended_session_asked_for_comes_too_late(accepted: Side) -> None:
    accepted.side.close(N)
    accepted.side.heard(cards.opened())
    accepted.side.heard(cards.opened(N - 1))
    accepted.side.heard(
        cards.signed(PROOF, cards.card().card_auth, cards.card().certificates.card_auth, N - 1)
    )
    assert accepted.fed == []
    accepted.side.open(N, 1)
    accepted.side.heard(cards.opened(N - 1))
    accepted.lists()
    assert accepted.fed == []


def test_a_card_shown_twice_does_not_take_the_first_one_s_place(accepted: Side) -> None:
    accepted.side.heard(msgspec.structs.replace(cards.opened(), card_auth=b"other"))
    assert accepted.fed == []
    accepted.side.sign(N, PROOF)
    certificates = cards.card().certificates
    accepted.side.heard(cards.signed(PROOF, cards.card().card_auth, certificates.card_auth))
    assert isinstance(accepted.fed[0], on.ProofSigned)


def test_a_proof_is_signed_by_9e_and_checked(accepted: Side) -> None:
    accepted.side.sign(N, PROOF)
    asked = accepted.link.sent[-1]
    assert isinstance(asked, ipc.Statement)
    assert (asked.typ, asked.key) == ("proof", "9E")
    certificates = cards.card().certificates
    accepted.side.heard(cards.signed(PROOF, cards.card().card_auth, certificates.card_auth))
    (event,) = accepted.fed
    assert isinstance(event, on.ProofSigned)
    assert jws.open_statement("proof", event.jws, [certificates.card_auth])


def test_a_receipt_is_signed_by_9a_and_by_the_box(accepted: Side) -> None:
    accepted.side.sign(N, RECEIPT)
    assert accepted.link.sent[-1].key == "9A"
    accepted.side.heard(cards.signed(RECEIPT, cards.card().auth, cards.card().certificates.auth))
    (event,) = accepted.fed
    assert isinstance(event, on.ReceiptSigned)
    assert event.jws.count(b'"signature"') == 2


def test_a_copy_of_a_card_is_not_genuine(accepted: Side) -> None:
    """It shows the certificates and has another key."""
    accepted.side.sign(N, PROOF)
    forged = cards.signed(
        PROOF, ec.generate_private_key(ec.SECP256R1()), cards.card().certificates.card_auth
    )
    accepted.side.heard(forged)
    assert accepted.bench.failed() == "card-not-genuine"


def test_another_statement_than_the_one_asked_for_is_refused(accepted: Side) -> None:
    other = msgspec.structs.replace(PROOF, challenge=b"\1" * 32)
    certificate = cards.card().certificates.card_auth
    accepted.side.sign(N, PROOF)
    accepted.side.heard(cards.signed(other, cards.card().card_auth, certificate))
    assert accepted.bench.failed() == "card-failed"
    accepted.side.heard(cards.signed(PROOF, cards.card().card_auth, certificate))
    assert accepted.bench.failed() == "card-failed", "asked once, taken once"


def recorded(side: Side) -> list[tuple[str, str | None, object]]:
    lines = side.bench.disk.contents()[outbox.NAME].splitlines()
    return [(entry.code, entry.session, entry.sha256) for entry in map(record.decode, lines)]


def test_lists_at_hand_are_named_and_not_sent_again(accepted: Side) -> None:
    ((code, _, sha256),) = before = recorded(accepted)
    accepted.side.open(N + 1, 1)
    assert (code, accepted.calls.request()) == (
        "received-list",
        ("crls", (bytes.fromhex(str(sha256)),)),
    )
    accepted.calls.answer(wire.CrlsAnswer(crls=()))
    accepted.side.heard(msgspec.structs.replace(cards.opened(), n=N + 1))
    assert isinstance(accepted.fed.pop(), on.CardAccepted)
    assert recorded(accepted) == before


def test_the_first_look_is_told_and_what_lies_there_begins_nothing() -> None:
    bench, looks = Bench(), []
    known = ("r",).__contains__
    side = CardSide(bench.context, Calls(), None, Identity(), bench.received, known)  # type: ignore[arg-type]
    side.looked = lambda: looks.append(len(bench.fed))
    side.heard(ipc.ReadersChanged(readers=()))  # a worker that has not looked, or has no pcscd
    assert looks == []
    side.heard(ipc.Inserted(reader="r", insertion=1))
    side.heard(ipc.ReadersChanged(readers=("r",)))
    assert (bench.fed, looks) == ([], [0])
    side.heard(ipc.Removed(reader="r", insertion=1))
    side.heard(ipc.Inserted(reader="r", insertion=2))
    assert bench.fed == [on.CardRemoved(1), on.CardInserted(2)]


def test_a_reader_that_is_not_the_box_s_is_none(side: Side) -> None:
    """vpcd's, or one with an antenna, plugged in beside the profile's."""
    side.fed.clear()
    side.side.heard(ipc.Inserted(reader="Virtual PCD 00 00", insertion=7))
    side.side.heard(ipc.ReadersChanged(readers=("r", "Virtual PCD 00 00")))
    assert (side.side.readers, side.fed) == (1, [])
    side.side.heard(ipc.Removed(reader="Virtual PCD 00 00", insertion=7))
    assert side.fed == []
    side.side.heard(ipc.ReadersChanged(readers=("Virtual PCD 00 00",)))
    assert side.side.readers == 0


def test_a_worker_s_death_ends_the_session_and_a_card_that_stays_is_no_new_one(side: Side) -> None:
    side.side.heard(ipc.Inserted(reader="s", insertion=5))
    side.fed.clear()
    side.side.lost()
    assert side.fed == [on.Failed(N, "card-worker-died")]
    side.fed.clear()
    side.side.heard(ipc.Inserted(reader="r", insertion=1))  # as the next worker counts
    side.side.heard(ipc.ReadersChanged(readers=("r", "s")))
    assert side.fed == [on.CardRemoved(2)], "the first was there all the time"


def test_a_new_worker_is_told_to_watch(side: Side) -> None:
    side.side.connected()
    assert isinstance(side.link.sent[0], ipc.Watch)


def test_what_the_worker_can_t_do_is_passed_on_with_its_session(side: Side) -> None:
    side.side.heard(ipc.Failed(n=N, code="card-mute"))
    assert side.bench.failed() == "card-mute"
    side.side.heard(ipc.ReadersChanged(readers=()))
    side.side.heard(ipc.CardClosed(n=N))
    assert len(side.fed) == 1


def test_the_box_signs_nothing_for_a_card_that_is_not_genuine(accepted: Side) -> None:
    accepted.side._identity = None  # type: ignore[assignment]  # would raise, were it asked
    accepted.side.sign(N, RECEIPT)
    accepted.side.heard(
        cards.signed(RECEIPT, cards.card().card_auth, cards.card().certificates.auth)
    )
    assert accepted.bench.failed() == "card-not-genuine"
    with pytest.raises(Refused):
        accepted.side._genuine("receipt", b"{}")
