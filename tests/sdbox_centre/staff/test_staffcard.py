"""A staff card signs acts as its double does: the same contract for both."""

import contextlib
import os
from collections.abc import Iterator

import pytest

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.statements import fields, jws
from sdbox_centre import authority
from sdbox_centre.staff import payload, staffcard
from sdbox_centre.staff.signer import KeySigner, Signer, countersigned, signed
from tests.sdbox_centre.staff import members as m

PIN = "246810"
ISSUER, _ = m.grown(m.NOW)


def staff_card(**made: object) -> tuple[PivCard, bytes]:
    card = PivCard.create(**{"pin_policy": "once", "pin": PIN, **made})
    public = card.public_keys()
    keys = authority.CardKeys(public["9A"], public["9D"], public["9E"])
    issued = ISSUER.card(keys, card.guid.bytes, "Test staff", m.NOW)
    card.install({"9A": issued.auth, "9D": issued.key_management, "9E": issued.card_auth})
    return card, issued.auth


@contextlib.contextmanager
def typed(text: str) -> Iterator[int]:
    """A descriptor from which this line is read."""
    out, into = os.pipe()
    try:
        os.write(into, text.encode() + b"\n")
        os.close(into)
        yield out
    finally:
        os.close(out)


@contextlib.contextmanager
def inserted(card: PivCard, pin: str = PIN) -> Iterator[Signer]:
    with typed(pin) as descriptor, staffcard.opened(Direct(card), descriptor) as signer:
        yield signer


@pytest.fixture(params=["P-256", "P-384", "RSA-2048", "memory"])
def signer(request: pytest.FixtureRequest) -> Iterator[tuple[Signer, bytes]]:
    """The real one, with each kind of key, or the double; and its certificate."""
    if request.param == "memory":
        member = m.grown(m.NOW)[1][0]
        auth = member.card.certificates.auth
        yield KeySigner(auth, member.card.auth), auth
        return
    algorithms = {"9A": request.param, "9D": "P-256", "9E": "P-256"}
    card, auth = staff_card(algorithms=algorithms)
    with inserted(card) as one:
        yield one, auth


def test_both_signers_keep_the_contract(signer: tuple[Signer, bytes]) -> None:
    one, auth = signer
    for act in (m.unlock(), m.box(state="active")):  # one PIN is enough for more than one
        made = signed(act, one)
        assert jws.open_payload(payload.TYP, made, [auth]) == payload.encode(act)
        twice = countersigned(made, one)
        assert jws.open_payload(payload.TYP, twice, [auth, auth]) == payload.encode(act)
    for typ in fields.TYPES:
        with pytest.raises(SdboxError, match="statement-invalid"):
            jws.open_payload(typ, made, [auth])


def test_only_an_act_is_signed() -> None:
    card, _ = staff_card()
    with inserted(card) as one, pytest.raises(DecodeError):
        one.sign_act(m.holder(holder="a/b"))


@pytest.mark.parametrize(
    ("text", "code"),
    [("111111", "pin-wrong"), ("12", "pin-malformed"), ("abcdef", "pin-malformed")],
)
def test_a_wrong_pin_signs_nothing(text: str, code: str) -> None:
    card, _ = staff_card()
    with pytest.raises(SdboxError, match=code), inserted(card, text):
        pass


def test_the_last_try_is_not_spent_here() -> None:
    card, _ = staff_card(pin_tries=2)
    with pytest.raises(SdboxError, match="pin-wrong"), inserted(card, "111111"):
        pass
    for _ in range(2):
        with pytest.raises(SdboxError, match="pin-last-try"), inserted(card, "111111"):
            pass


def test_a_blocked_card_is_told_from_a_wrong_pin() -> None:
    card, _ = staff_card()
    card.block_pin()
    with pytest.raises(SdboxError, match="card-blocked"), inserted(card):
        pass


def test_the_pin_is_needed_again_after_the_card_was_let_go() -> None:
    card, _ = staff_card()
    with inserted(card) as one:
        one.sign_act(m.unlock())
    with pytest.raises(SdboxError, match="pin-wrong"), inserted(card, "111111"):
        pass


def test_a_card_that_is_no_piv_card_is_none_of_staffs() -> None:
    card = PivCard.create(factory=True)
    with pytest.raises(SdboxError), inserted(card):
        pass
