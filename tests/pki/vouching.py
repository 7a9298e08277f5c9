"""Vouchings, and certificates that carry them, grown anew."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from sdbox_agent.pki import vouched
from sdbox_agent.statements import jws, vouch
from sdbox_agent.statements.vouch import Vouch
from sdbox_centre import authority
from tests.pki import boxed
from tests.pki.boxed import Key

CHALLENGE = bytes(range(32))


def said(key: Key, box: str = boxed.BOX, challenge: bytes = CHALLENGE) -> Vouch:
    key_sha256 = vouched.key_sha256(key.public_key_der)
    return Vouch(box=box, challenge=challenge, key_sha256=key_sha256)


def signed(body: Vouch, certificate_der: bytes, by: Key, typ: str = vouch.TYP) -> bytes:
    payload = vouch.encode(body)
    head = jws.header(typ, certificate_der)
    r, s = decode_dss_signature(by.sign(jws.signing_input(head, payload)))
    return jws.assemble(payload, [(head, r.to_bytes(32) + s.to_bytes(32))])


def statement_der(by: str = "statement") -> bytes:
    return authority.der_of(boxed.issued("statement", by=boxed.key(by)))


def carrying(carried: x509.ExtensionType, key: Key | None = None, **about) -> x509.Certificate:
    """A TLS certificate with that extension."""
    return boxed.issued("tls", by=key or boxed.key(), extensions=(carried,), **about)


def whole() -> x509.Certificate:
    """One that holds."""
    der = statement_der()
    statement = signed(said(boxed.key()), der, boxed.key("statement"))
    return carrying(vouched.extension(der, statement))
