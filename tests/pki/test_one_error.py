"""A sealed reference that does not open says nothing of why: one error, after the same work.

Whoever can write to the centre's database chooses what a card's key is asked about, and hears the
code and, roughly, the time. Before the key is used, codes may differ: form and recipient are
public. After it they may not: a blob that the card refuses, a padding or key wrap that does not
hold, a key of another size, a tag that is wrong. What comes after a good tag may differ again: only
who made the message gets there.
"""

import dataclasses

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from sdbox_agent.errors import Refused
from sdbox_agent.pki import cms
from sdbox_centre import sealing
from tests.pki import grown

KINDS = ("p256", "p384", "rsa2048")
CONTENT = bytes(3000)


def sealed(kind):
    certificate_der = grown.card(kind).certificates.key_management
    return cms.parse(sealing.seal(CONTENT, certificate_der))


def flipped(data, at=0):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def wrapped_short(one, secret):
    """A good wrap of a key that is too short for the profile."""
    return aes_key_wrap(cms.key_encryption_key(secret, one.blob), bytes(16))


def causes(kind):
    """What is wrong, by name: the message, and what the card answers."""
    one = sealed(kind)
    right = grown.card(kind).open(one)
    found = {
        "card's no": (one, None),
        "another key": (one, flipped(right)),
        "no key": (one, b""),
        "key too short": (one, right[:16]),
        "key too long": (one, right + b"\0"),
        "tag": (dataclasses.replace(one, tag=flipped(one.tag)), right),
        "ciphertext": (dataclasses.replace(one, ciphertext=flipped(one.ciphertext)), right),
        "nonce": (dataclasses.replace(one, nonce=flipped(one.nonce)), right),
        "card's no, and zeros for its key": (under_zeros(one), None),
    }
    if one.wrapped_key:
        altered = dataclasses.replace(one, wrapped_key=flipped(one.wrapped_key))
        short = dataclasses.replace(one, wrapped_key=wrapped_short(one, right))
        found |= {"wrap": (altered, right), "wrapped key too short": (short, right)}
    return found


def under_zeros(one):
    """Sealed so that zeros, if they were taken for the card's key, would open it."""
    encrypted = AESGCM(bytes(32)).encrypt(one.nonce, CONTENT, None)
    changes = {"ciphertext": encrypted[:-16], "tag": encrypted[-16:]}
    if one.wrapped_key:
        zeros = bytes(cms._key_bytes(one))
        kek = cms.key_encryption_key(zeros, one.blob)
        changes["wrapped_key"] = aes_key_wrap(kek, bytes(32))
    return dataclasses.replace(one, **changes)


@pytest.fixture
def work(monkeypatch):
    """Every cryptographic operation of `decrypt`, in order, with the size of what it was given."""
    done = []

    def counted(name, function, size):
        def call(*arguments):
            done.append((name, size(arguments)))
            return function(*arguments)

        monkeypatch.setattr(cms, name, call)

    class Counted:
        def __init__(self, key):
            done.append(("AESGCM", len(key)))
            self.gcm = AESGCM(key)

        def decrypt(self, nonce, data, extra):
            done.append(("decrypt", len(data)))
            return self.gcm.decrypt(nonce, data, extra)

    counted("key_encryption_key", cms.key_encryption_key, lambda given: len(given[0]))
    counted("aes_key_unwrap", cms.aes_key_unwrap, lambda given: len(given[0]))
    monkeypatch.setattr(cms, "AESGCM", Counted)
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_after_the_key_was_used_every_failure_is_one_error_after_the_same_work(kind, work) -> None:
    certificate_der = grown.card(kind).certificates.key_management
    good = sealed(kind)
    work.clear()
    assert cms.decrypt(good, grown.card(kind).open(good), certificate_der) == CONTENT
    expected = list(work)
    assert [name for name, _ in expected][-2:] == ["AESGCM", "decrypt"]
    for name, (one, key) in causes(kind).items():
        work.clear()
        with pytest.raises(Refused) as caught:
            cms.decrypt(one, key, certificate_der)
        assert str(caught.value) == "reference-altered", name
        assert caught.value.__context__ is None, name
        assert work == expected, name


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_key_is_used_no_work_is_done(kind, work) -> None:
    other = grown.issue(grown.card_authority(), grown.card(kind).key_management)
    one = sealed(kind)
    work.clear()
    for key in (None, bytes(32)):
        with pytest.raises(Refused, match=r"^reference-not-for-this-card$"):
            cms.decrypt(one, key, other.certificates.key_management)
    assert work == []


def test_a_shared_secret_has_its_curves_size() -> None:
    one = sealed("p256")
    for size in (0, 31, 33, 48):
        with pytest.raises(ValueError):
            cms.key_encryption_key(bytes(size), one.blob)
