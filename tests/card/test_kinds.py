"""Of which kind a card is."""

import pytest

from sdbox_agent.card import kinds, spki
from sdbox_agent.cardkind import CardKind
from tests.kinds import FREE, MATCH, MATCH_7816, PIN

P256, P384 = spki.EcKey(spki.Curve.P256), spki.EcKey(spki.Curve.P384)
RSA2048, RSA3072 = spki.RsaKey(1, 256), spki.RsaKey(1, 384)
ALL = (MATCH_7816, MATCH, PIN, FREE)


def test_each_key_has_the_name_of_its_algorithm() -> None:
    names = [kinds.algorithm(key) for key in (P256, P384, RSA2048, RSA3072)]
    assert names == ["P-256", "P-384", "RSA-2048", "RSA-3072"]


@pytest.mark.parametrize(
    ("atr", "contactless"),
    [
        ("3B8B8131FE4580F9A0000003080000100042", False),  # T=1, contacts
        ("3B8B80014F0C", True),  # what PC/SC part 3 has a reader make up
        ("3B888001", True),
        ("3B8880", False),
        ("3B9880014F", False),
        ("", False),
    ],
)
def test_a_made_up_atr_is_known(atr: str, contactless: bool) -> None:
    assert kinds.is_contactless(bytes.fromhex(atr)) == contactless


def test_candidates_are_told_by_access_and_answer_to_reset() -> None:
    other = CardKind(name="other", access="pkcs11")
    assert kinds.candidates((*ALL, other), "pcsc", FREE.atr + b"x") == [FREE]
    assert kinds.candidates((*ALL, other), "pkcs11", b"") == [other]
    assert kinds.candidates(ALL, "pcsc", PIN.atr + b"\xff") == [PIN, FREE]


def test_a_kind_wants_its_algorithms_and_what_the_card_does() -> None:
    keys = [P256, P384, RSA3072]
    assert kinds.fits(FREE, [*keys, RSA2048], compares=False)
    assert not kinds.fits(FREE, keys, compares=True)
    assert kinds.fits(MATCH, keys, compares=True)
    assert not kinds.fits(MATCH, [*keys, RSA2048], compares=True), "RSA-2048 is not in its list"
    assert not kinds.fits(MATCH, keys, compares=False)
