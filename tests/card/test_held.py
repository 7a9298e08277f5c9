"""What a session's card may be used for: each grant once, each answer once."""

import pytest

from sdbox_agent import ipc
from sdbox_agent.card.held import Held
from sdbox_agent.card.pinframe import Status
from sdbox_agent.card.presence import Insertion
from sdbox_agent.card.token import Face
from sdbox_agent.cardkind import Bit, CardKind
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from tests import kinds
from tests.card.test_conversation import PROOF, RENEW

BITS = (Bit(key="96", position=2, minimum=12, maximum=60, order=9),)


def held(kind: CardKind = kinds.FREE, **face: object) -> Held:
    shown = Face(kind, {}, **face)
    return Held(7, Insertion(1, "reader", 1), None, shown)


def test_an_unwrap_is_granted_and_used_once() -> None:
    one, told = held(), []
    assert not one.use_unwrap(told.append)
    assert one.grant_unwrap()
    assert not one.grant_unwrap()
    assert one.use_unwrap(told.append)
    for _ in range(2):
        one.answer_finger(ipc.Failed(n=7, code="card-removed"))
    assert len(told) == 1
    assert not one.use_unwrap(told.append)
    assert not one.grant_unwrap()


def test_comparisons_are_counted_and_come_one_by_one() -> None:
    one, told = held(bits=BITS), []
    assert not one.use_comparison(told.append)
    assert one.grant_compare(2)
    assert not one.grant_compare(2)
    assert one.use_comparison(told.append)
    assert not one.use_comparison(told.append), "while one runs"
    one.answer_finger(ipc.Compared(n=7, match=False, left=1))
    assert one.use_comparison(told.append)
    one.answer_finger(ipc.Compared(n=7, match=False, left=0))
    assert not one.use_comparison(told.append)
    assert len(told) == 2


def test_a_card_without_fingers_or_pin_is_granted_none() -> None:
    assert not held().grant_compare(1)
    assert not held().grant_pin()
    assert not Held(7, Insertion(1, "reader", 1), None).grant_compare(1)
    assert not Held(7, Insertion(1, "reader", 1), None).grant_pin()


def test_a_pin_is_taken_once_a_grant() -> None:
    one, told = held(pin_left=3), []

    def reply(status: Status, left: int | None) -> None:
        told.append((status, left))

    assert not one.use_pin(reply)
    assert one.grant_pin()
    assert not one.grant_pin()
    assert one.use_pin(reply)
    assert not one.use_pin(reply), "while one is on the card"
    assert not one.grant_pin()
    one.end_pin(sent=False)
    assert one.use_pin(reply), "nothing was sent"
    one.end_pin(sent=True)
    assert not one.use_pin(reply)
    for _ in range(2):
        one.answer_prompt(Status.WRONG, 2)
    assert told == [(Status.WRONG, 2)]
    assert one.grant_pin()
    one.use_pin(None)
    one.end_pin(sent=True)
    one.pin_given = True
    assert not one.grant_pin(), "it has been given"


def receipt(level: Level) -> fields.Receipt:
    return fields.Receipt(
        box="b", session="boot-7", challenge=bytes(32), enrolment="e", attempt=1, level=level,
        project="p", wg_public_key=bytes(32), kem_key_sha256=bytes(32), utc_s=1,
    )  # fmt: skip


@pytest.mark.parametrize("key", ["9A", "9E"])
def test_the_kind_names_the_key_of_a_proof(key: str) -> None:
    kind = CardKind(name="k", proof_key=key)
    assert held(kind).allows(PROOF, key)
    assert not held(kind).allows(PROOF, "9E" if key == "9A" else "9A")
    assert held(kind).allows(RENEW, "9A")
    assert not held(kind).allows(RENEW, "9E")


def test_a_statement_of_another_session_is_not_allowed() -> None:
    assert not held().allows(fields.Proof(box="b", session="boot-8", challenge=bytes(32)), "9E")


def test_a_receipt_says_only_what_happened_here() -> None:
    one = held()
    assert one.allows(receipt(Level.HOST_MATCH), "9A")
    assert not one.allows(receipt(Level.CARD_MATCH), "9A")
    one.matched = True
    assert one.allows(receipt(Level.CARD_MATCH), "9A")
    assert not one.allows(receipt(Level.CARD_PIN), "9A")
    one.pin_given = True
    assert one.allows(receipt(Level.CARD_PIN), "9A")
