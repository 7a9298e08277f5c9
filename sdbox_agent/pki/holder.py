"""Whose card this is: its three certificates, their digests, its GUID, and a name for the screen.

A holder is known by the hash of the 9A certificate and by nothing that can be chosen: the name is
for display only.
"""

from __future__ import annotations

import hashlib
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import oids
from sdbox_agent.pki.certificate import policies

MAX_NAME_CHARACTERS: Final = 64  # RFC 5280 appendix A.1: ub-common-name
URN_UUID: Final = "urn:uuid:"  # RFC 4122 section 3; FIPS 201-3 section 4.2.2: the card's GUID
# Unicode general categories that print nothing, or change what stands beside them
UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class CardHashes:
    """SHA-256 of the certificates of 9A, 9D and 9E."""

    auth: bytes
    key_management: bytes
    card_auth: bytes


@dataclass(frozen=True, slots=True)
class CardCertificates:
    """The certificates of 9A, 9D and 9E as read from the card, DER."""

    auth: bytes
    key_management: bytes
    card_auth: bytes

    def hashes(self) -> CardHashes:
        """What a reference names, and what a session compares."""
        three = (self.auth, self.key_management, self.card_auth)
        return CardHashes(*(hashlib.sha256(one).digest() for one in three))


def guid(certificate: x509.Certificate) -> bytes:
    """The 16 bytes of the one `urn:uuid:` in the subject's alternative names.

    Raises DecodeError if there is none, more than one, or one not in lower-case canonical form.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise DecodeError("certificate: no GUID") from None
    uris = [
        uri
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier)
        if uri.lower().startswith(URN_UUID)
    ]
    if len(uris) != 1:
        raise DecodeError("certificate: not one GUID")
    try:
        value = uuid.UUID(uris[0][len(URN_UUID) :])
    except ValueError:
        raise DecodeError("certificate: GUID") from None
    if uris[0] != f"{URN_UUID}{value}":
        raise DecodeError("certificate: GUID")
    return value.bytes


def is_match_bound(auth: x509.Certificate) -> bool:
    """Whether a 9A certificate says that a finger alone opens its key."""
    return oids.POLICY_MATCH_BOUND in policies(auth)


def display_name(certificate: x509.Certificate) -> str:
    """The subject's one common name, for people. Raises DecodeError if it can't be shown safely.

    No control or format character (so no newline, terminal escape or change of direction), at most
    64 characters, and some character that can be seen.
    """
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = names[0].value if len(names) == 1 else None
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.strip():
        raise DecodeError("certificate: common name")
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        raise DecodeError("certificate: common name")
    return name
