"""Boxes' keys, requests and certificates, grown anew: nothing of it is in the repository."""

import dataclasses
import functools
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent.pki import certificate, csr
from sdbox_centre import authority
from tests.pki import grown

BOX = "test-box-01"
PROFILES: Mapping[str, authority.Profile] = {
    "tls": authority.BOX_TLS,
    "statement": authority.BOX_STATEMENT,
}


@dataclasses.dataclass(frozen=True)
class Key:
    """As `identity.request.Signer`."""

    private: ec.EllipticCurvePrivateKey

    @property
    def public_key_der(self) -> bytes:
        return certificate.spki(self.private.public_key())

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, ec.ECDSA(hashes.SHA256()))


@functools.cache
def box_authority() -> authority.Authority:
    return authority.authority("Test Box Authority", grown.NOW - grown.DAY)


@functools.cache
def key(name: str = "tls") -> Key:
    return Key(authority.new_key())


def request(box: str = BOX, by: Key | None = None) -> bytes:
    signer = by or key()
    information = csr.information(box, signer.public_key_der)
    return csr.whole(information, signer.sign(information))


def issued(
    purpose: str = "tls",
    *,
    box: str = BOX,
    by: Key | None = None,
    issuer: authority.Authority | None = None,
    subject: authority.Subject | None = None,
    not_after=None,
    **bent,
) -> x509.Certificate:
    """A box's certificate, or with `bent` one whose profile is another in that."""
    profile = dataclasses.replace(PROFILES[purpose], **bent)
    public = (by or key()).private.public_key()
    return (issuer or box_authority()).issue(
        profile, subject or authority.box_subject(box), public, grown.NOW - grown.DAY, not_after
    )
