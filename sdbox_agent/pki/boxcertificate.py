"""A box's two certificates: what they must say before a box takes one for its own.

It knows neither keys nor who asks; its moment is an argument.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import certificate, chain, csr, oids

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

Purpose = Literal["tls", "statement"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets the two apart."""

    usage: str  # its one extended key usage
    policy: str


KINDS: Final[dict[Purpose, Kind]] = {
    "tls": Kind(oids.CLIENT_AUTH, oids.POLICY_BOX_TLS),
    "statement": Kind(oids.USAGE_BOX, oids.POLICY_BOX_STATEMENT),
}


def pick(
    certificates_der: Sequence[bytes], asked: csr.Request, purpose: Purpose
) -> x509.Certificate:
    """The one certificate on the very key and name that were asked for. Raises DecodeError."""
    own = [one for one in map(certificate.load, certificates_der) if _is_on(one, asked.key)]
    if len(own) != 1:
        raise DecodeError("box certificate: not one on this key")
    check(own[0], asked.box, purpose)
    return own[0]


def check(found: x509.Certificate, box: str, purpose: Purpose) -> None:
    """Name, and what the certificate is for; nothing beside that. Raises DecodeError."""
    kind = KINDS[purpose]
    names = [name.value for name in found.subject]
    if names != [box] or not found.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        raise DecodeError("box certificate: subject")
    try:
        others = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise DecodeError("box certificate: alternative name") from None
    if list(others) != [x509.DNSName(box)]:
        raise DecodeError("box certificate: alternative name")
    if certificate.usages(found) != {"digital_signature"} or certificate.says_authority(found):
        raise DecodeError("box certificate: key usage")
    if certificate.extended_usages(found) != {kind.usage}:
        raise DecodeError("box certificate: extended key usage")
    if certificate.policies(found) != {kind.policy}:
        raise DecodeError("box certificate: policy")


def check_path(
    found: x509.Certificate, purpose: Purpose, given: chain.Authorities, moment: dt.datetime
) -> None:
    """From an anchor of the boxes' authority to here, all of it valid at `moment`.

    Raises DecodeError.
    """
    try:
        chain.find(found.public_bytes(Encoding.DER), KINDS[purpose].policy, given, moment)
    except Refused:
        raise DecodeError("box certificate: not of the boxes' authority, or not now") from None


def renewable_s(current: x509.Certificate) -> int:
    """From when on it may be renewed: two thirds of its life, UTC seconds."""
    begin, end = current.not_valid_before_utc, current.not_valid_after_utc
    return int((begin + (end - begin) * 2 / 3).timestamp())


def shown_of(keys_der: Mapping[Purpose, bytes]) -> str:
    """The same, of the keys that a box keeps: one alone speaks for its TLS keys too."""
    return shown(keys_der.get("tls", keys_der["statement"]), keys_der["statement"])


def shown(tls_key_der: bytes, statement_key_der: bytes) -> str:
    """A box's two keys (SubjectPublicKeyInfo, DER) as people compare them: 100 bits, in letters.

    Somebody at the box reads them to somebody at the centre, by another way than the network.
    """
    digest = hashlib.sha256(b"sdbox keys\0" + tls_key_der + statement_key_der).digest()
    letters = base64.b32encode(digest).decode()[:20]  # RFC 4648 section 6: no 0, 1, 8, 9
    return "-".join(letters[at : at + 5] for at in range(0, 20, 5))


def _is_on(found: x509.Certificate, key: ec.EllipticCurvePublicKey) -> bool:
    return found.public_key() == key
