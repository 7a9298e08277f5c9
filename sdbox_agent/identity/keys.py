"""The two keys that make this box this box, from files (until there is a TPM under them).

The TLS key says who speaks to the centre; the statement key signs, beside the card, the receipt of
a session and nothing else. Keys stay in this process: read once, checked against their
certificates, never printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.identity import centreanchors
from sdbox_agent.identity.tlspair import TlsPair
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.statements import fields, jws

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

SCALAR_BYTES: Final = 32  # RFC 7518 section 3.4: ES256 is r || s, 32 bytes each
SIGNED_BY_THE_BOX: Final = "receipt"


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """What `load` found, whole and fitting together."""

    tls: TlsPair = field(repr=False)
    _statement: TlsPair = field(repr=False)
    _centre_anchors_pem: str = field(repr=False)

    @property
    def statement_certificate_der(self) -> bytes:
        """The certificate that receipts name in their header."""
        return self._statement.certificate.public_bytes(Encoding.DER)

    def sign_statement(self, payload: bytes, protected: bytes) -> bytes:
        """Sign a receipt's payload (JWS, ES256: r || s, 64 bytes).

        Raises Refused("statement-invalid") for any other statement, or another header than this
        box's own: the box lends its name to receipts only.
        """
        try:
            fields.parse(SIGNED_BY_THE_BOX, payload)
        except DecodeError:
            raise Refused("statement-invalid") from None
        if protected != jws.header(SIGNED_BY_THE_BOX, self.statement_certificate_der):
            raise Refused("statement-invalid")
        der = self._statement.key.sign(
            jws.signing_input(protected, payload), ec.ECDSA(hashes.SHA256())
        )
        r, s = decode_dss_signature(der)
        return r.to_bytes(SCALAR_BYTES) + s.to_bytes(SCALAR_BYTES)

    @property
    def centre_anchors(self) -> tuple[x509.Certificate, ...]:
        """The centre's authority, and its successors."""
        return tuple(x509.load_pem_x509_certificates(self._centre_anchors_pem.encode()))

    def with_certificate(self, renewed: x509.Certificate) -> BoxIdentity:
        """The same box, under another certificate on its TLS key."""
        return replace(self, tls=self.tls.under(renewed))

    def client_context(self) -> ssl.SSLContext:
        """As `TlsPair.context`, to the centre's authority and its successors."""
        return self.tls.context(self._centre_anchors_pem)


def load(config: Path) -> BoxIdentity:
    """Read `identity/` and `anchors/centre.pem` under the settings directory.

    Raises Fault("box-identity-missing") if a file is not there; FileRefused("config-invalid") for
    a wrong owner, mode or symlink (fault 61), a key that is not P-256, or not its certificate's.
    """
    try:
        tls = _pair(config / "identity", "tls")
        statement = _pair(config / "identity", "statement")
        anchors = centreanchors.load(config)
    except FileNotFoundError as error:
        raise FileRefused("box-identity-missing", str(error.filename), 0, "missing") from None
    except OSError:
        raise Fault("config-invalid") from None
    return BoxIdentity(tls, statement, anchors)


def _pair(directory: Path, name: str) -> TlsPair:
    certificate_pem = trusted.read(directory / f"{name}.pem")
    key_path = directory / f"{name}.key"
    key_pem = trusted.read(key_path, private=True)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        path = str(directory / f"{name}.pem")
        raise FileRefused("config-invalid", path, 0, "not a certificate") from None
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FileRefused("config-invalid", str(key_path), 0, "not a private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise FileRefused("config-invalid", str(key_path), 0, "not a P-256 key")
    if key.public_key() != certificate.public_key():
        raise FileRefused("config-invalid", str(key_path), 0, "not the key of its certificate")
    pem = certificate_pem + b"\n" + key_pem
    return TlsPair(directory / f"{name}.pem", certificate, key, pem)
