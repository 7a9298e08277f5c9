"""A card at the desk: each key proves itself, and a "no" is passed on as it is."""

import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.card import apdu, pin, piv
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.pki import certificate
from sdbox_centre import authority, deskcard
from sdbox_centre.deskcard import DeskCard
from tests.pki import grown
from tests.pki.grown import GUID, NOW

SLOTS = ("9A", "9D", "9E")
RSA_KEY = grown.rsa_key()


def certified(card: PivCard) -> dict[str, bytes]:
    keys = card.public_keys()
    issued = grown.card_authority().card(
        authority.CardKeys(keys["9A"], keys["9D"], keys["9E"]), GUID, "test-holder-01", NOW
    )
    return dict(zip(SLOTS, (issued.auth, issued.key_management, issued.card_auth), strict=True))


def selected(card: PivCard) -> DeskCard:
    made = DeskCard(Direct(card), secrets.token_bytes)
    made.select()
    return made


def card_of(algorithm: str) -> PivCard:
    if algorithm == "RSA-2048":
        return PivCard.create(ready_keys=dict.fromkeys(SLOTS, RSA_KEY))
    return PivCard.create(algorithms=dict.fromkeys(SLOTS, algorithm))


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("algorithm", ["P-256", "P-384", "RSA-2048"])
def test_a_key_does_its_work_under_its_own_certificate_alone(algorithm, slot) -> None:
    card = card_of(algorithm)
    der = certified(card)[slot]
    assert selected(card).use(slot, der) == apdu.SW_OK
    other = PivCard.create(algorithms={slot: algorithm})
    with pytest.raises(Refused, match="card-not-genuine"):
        selected(other).use(slot, der)


def test_an_answer_that_is_no_signature() -> None:
    der = certified(card_of("P-256"))["9A"]
    channel = ScriptedCard(lambda _: bytes.fromhex("7c058203300102") + b"\x90\x00")
    with pytest.raises(Refused, match="card-not-genuine"):
        DeskCard(channel, secrets.token_bytes).use("9A", der)


def test_a_key_that_wants_a_pin_says_so() -> None:
    card = PivCard.create(pin_policy="once")
    held = certified(card)
    at_hand = selected(card)
    assert at_hand.use("9A", held["9A"]) == piv.SW_SECURITY_STATUS
    assert deskcard.counted(at_hand.ask(pin.REFERENCE)) == 5
    assert at_hand.give(b"123456\xff\xff") == apdu.SW_OK
    assert at_hand.ask(pin.REFERENCE) == apdu.SW_OK
    assert at_hand.use("9A", held["9A"]) == apdu.SW_OK
    at_hand.log_out(pin.REFERENCE)
    assert at_hand.use("9A", held["9A"]) == piv.SW_SECURITY_STATUS
    with pytest.raises(Fault, match="card-not-personalised"):
        at_hand.log_out(deskcard.GLOBAL_PIN)


def test_only_a_counter_counts() -> None:
    assert [deskcard.counted(sw) for sw in (0x63C0, 0x63CF)] == [0, 15]
    for sw in (0x9000, 0x6983, 0x6A88, 0x6300, 0x6388):
        assert deskcard.counted(sw) is None


def test_objects_that_are_missing_malformed_or_closed() -> None:
    card = PivCard.create()
    at_hand = selected(card)
    assert at_hand.certificate("9A") is None
    assert at_hand.read(0x5FC107) is not None
    with pytest.raises(Fault, match="card-not-personalised"):
        at_hand.read(0x5FC103)  # wants a PIN
    nonsense = ScriptedCard(lambda _: b"\x53\x01\x70\x90\x00")
    assert DeskCard(nonsense, secrets.token_bytes).certificate("9A") is None


def test_a_key_of_another_sort_is_no_cards() -> None:
    key = ec.generate_private_key(ec.SECP521R1()).public_key()
    assert certificate.algorithm(key) == "secp521r1"
    der = authority.der_of(
        grown.card_authority().issue(
            authority.CARD_9A,
            authority.Subject("test-holder-01"),
            ed25519.Ed25519PrivateKey.generate().public_key(),
            NOW,
        )
    )
    with pytest.raises(Refused, match="card-data-invalid"):
        deskcard.public_key(der)
