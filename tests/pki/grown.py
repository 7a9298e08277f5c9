"""One small PKI, grown anew for every test run: nothing of it is in the repository."""

import dataclasses
import datetime as dt
import functools
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from sdbox_agent.pki import cms
from sdbox_agent.pki.holder import CardCertificates
from sdbox_centre import authority, desk

NOW = dt.datetime(2026, 3, 1, 12, 0, 0, tzinfo=dt.UTC)
NOW_S = int(NOW.timestamp())
DAY = dt.timedelta(days=1)
GUID = hashlib.sha256(b"test-card-01").digest()[:16]
EXPIRES = "20300228"
RECORD = b"FMR\0 20\0" + bytes(range(256)) * 2  # bytes to seal; the codec has tests of its own
SUBJECT = desk.Subject("test-holder-01", "test-enrolment-01", (2, 7))


@dataclasses.dataclass(frozen=True)
class Card:
    """A card's keys, in software, and its certificates."""

    auth: ec.EllipticCurvePrivateKey
    key_management: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    card_auth: ec.EllipticCurvePrivateKey
    certificates: CardCertificates

    def open(self, sealed: cms.SealedReference) -> bytes:
        """What 9D answers for `sealed.blob`: the shared X coordinate, or the content key."""
        if isinstance(self.key_management, rsa.RSAPrivateKey):
            oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
            return self.key_management.decrypt(sealed.blob, oaep)
        point = ec.EllipticCurvePublicKey.from_encoded_point(self.key_management.curve, sealed.blob)
        return self.key_management.exchange(ec.ECDH(), point)


@functools.cache
def card_authority() -> authority.Authority:
    return authority.authority("Test Card Authority", NOW - DAY)


@functools.cache
def desk_authority() -> authority.Authority:
    return authority.authority("Test Desk Authority", NOW - DAY)


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def rsa_public(bits: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    """A public key of that size, at once: nobody has the private half."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()


def issue(
    issuer: authority.Authority, key_management, guid=GUID, name="Test Holder 01", **dates
) -> Card:
    auth, card_auth = authority.new_key(), authority.new_key()
    keys = authority.CardKeys(
        auth.public_key(), key_management.public_key(), card_auth.public_key()
    )
    certificates = issuer.card(keys, guid, name, dates.pop("now", NOW - DAY), **dates)
    return Card(auth, key_management, card_auth, certificates)


@functools.cache
def card(kind: str = "p256") -> Card:
    key = {
        "p256": authority.new_key,
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "rsa2048": rsa_key,
    }[kind]()
    return issue(card_authority(), key)


@functools.cache
def signer() -> desk.Signer:
    return make_signer(desk_authority())


def make_signer(issuer, profile=authority.DESK, not_before=NOW - DAY, not_after=None, key=None):
    key = key or authority.new_key()
    subject = authority.Subject("Test Desk 01")
    issued = issuer.issue(profile, subject, key.public_key(), not_before, not_after)
    return desk.Signer(authority.der_of(issued), key)
