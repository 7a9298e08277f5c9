"""Certificates made for one test: an authority, and whom it signs for."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def write(self, path: Path) -> Path:
        """Certificate and key in one file, as TLS servers read them."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(self.pem + key)
        return path


def named(*names: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in names])


def make(
    name: str,
    begins: dt.datetime,
    days: float,
    *,
    by: Made | None = None,
    address: str = "127.0.0.1",
) -> Made:
    """Signed by `by`, or by itself, then an authority. Of the organisation “Made for a test”."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = named((NameOID.ORGANIZATION_NAME, "Made for a test"), (NameOID.COMMON_NAME, name))
    builder = x509.CertificateBuilder(
        issuer_name=by.certificate.subject if by else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begins,
        not_valid_after=begins + dt.timedelta(days=days),
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=by is None, path_length=None), True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False
    )
    return Made(builder.sign(by.key if by else key, hashes.SHA256()), key)
