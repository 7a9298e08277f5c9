"""The two keys that make this box this box, from files (until there is a TPM under them).

The TLS key says who speaks to the centre; the statement key signs, beside the card, the receipt of
a session and nothing else. Keys stay in this process: read once, checked against their
certificates, never printed.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from typing_extensions import override

from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.pki import csr, successors
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused
from sdbox_agent.statements import fields, jws

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sdbox_agent.identity.request import Signer

SCALAR_BYTES: Final = 32  # RFC 7518 section 3.4: ES256 is r || s, 32 bytes each
CERTIFICATE_END: Final = b"-----END CERTIFICATE-----"  # RFC 7468 section 5.1
SUCCESSORS: Final = "identity/centre.pem"  # of anchors/centre.pem, and their proofs
SIGNED_BY_THE_BOX: Final = "receipt"


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    pem: bytes = field(repr=False)  # certificate, then key

    @property
    def public_key_der(self) -> bytes:
        return csr.key_der(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def under(self, certificate: x509.Certificate) -> _Pair:
        """The same key under another certificate of its."""
        own = self.pem.partition(CERTIFICATE_END)[2]
        pem = certificate.public_bytes(Encoding.PEM).rstrip(b"\n") + own
        return _Pair(certificate, self.key, pem)


@dataclass(frozen=True, slots=True)
class BoxIdentity:
    """What `load` found, whole and fitting together."""

    _config: Path = field(repr=False)
    _tls: _Pair = field(repr=False)
    _statement: _Pair = field(repr=False)
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

    @property
    def tls_certificate(self) -> x509.Certificate:
        """Who speaks to the centre, as it was read."""
        return self._tls.certificate

    @property
    def tls_key(self) -> Signer:
        """Its key, for a request of another certificate."""
        return self._tls

    def with_certificate(self, renewed: x509.Certificate) -> BoxIdentity:
        """The same box, under another certificate on its TLS key, of which nothing is kept yet."""
        return replace(self, _tls=self._tls.under(renewed))

    def client_context(self) -> ssl.SSLContext:
        """TLS 1.3 to the centre, to nobody else's certificate than its own authority's.

        A connection made with it once the box has been renewed shows the new certificate; those
        that are open stay as they are.

        Raises Fault("config-invalid") if the anchors are none.
        """
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)  # checks host name and certificate
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # RFC 5280, without OpenSSL's leniency
        try:
            context.load_verify_locations(cadata=self._centre_anchors_pem)
            _load_chain(context, self._tls.pem)
        except (ssl.SSLError, ValueError):
            raise Fault("config-invalid") from None
        context.newer = _Newer(self._config / "identity" / "tls.pem", self._tls)
        return context


def _successors(path: Path, pinned: list[x509.Certificate]) -> str:
    """Those that lie there and that a pinned authority vouches for, PEM; of nothing else, nothing.

    The core's own user writes that file (identity.renewal), and can put nothing into it that is
    believed: pinned is what root laid down.
    """
    data = _read(path)
    try:
        loaded = x509.load_pem_x509_certificates(data or b"")
        found = successors.proven(pinned, [one.public_bytes(Encoding.DER) for one in loaded])
    except ValueError:  # DecodeError is one
        return ""
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in found)


class _Newer:
    """Whether another certificate lies on disk by now, on the very key."""

    def __init__(self, path: Path, own: _Pair) -> None:
        self._path = path
        self._own = own
        self._seen = _read(path)

    def __call__(self) -> bytes | None:
        """Certificate and key, PEM, if it does, once. What can't be read is not there."""
        found = _read(self._path)
        if found is None or found == self._seen:
            return None
        self._seen = found
        try:
            certificate = x509.load_pem_x509_certificate(found)
        except ValueError:
            return None
        if certificate.public_key() != self._own.key.public_key():
            return None  # another identity: that takes a start
        return self._own.under(certificate).pem


def _read(path: Path) -> bytes | None:
    try:
        return trusted.read(path)
    except (Fault, OSError):
        return None


class _Context(ssl.SSLContext):
    """Looks for a renewed certificate before each handshake."""

    newer: Callable[[], bytes | None] = staticmethod(lambda: None)

    @override
    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        pem = self.newer()
        if pem is not None:
            _load_chain(self, pem)
        return super().wrap_socket(*args, **options)


def load(config: Path) -> BoxIdentity:
    """Read `identity/` and `anchors/centre.pem` under the settings directory.

    Successors of the centre's authority are pinned with it, as far as it vouches for them.

    Raises Fault("box-identity-missing") if a file is not there; FileRefused("config-invalid") for
    a wrong owner, mode or symlink (fault 61), a key that is not P-256, or not its certificate's.
    """
    try:
        tls = _pair(config / "identity", "tls")
        statement = _pair(config / "identity", "statement")
        anchors = trusted.read(config / "anchors" / "centre.pem")
    except FileNotFoundError as error:
        raise FileRefused("box-identity-missing", str(error.filename), 0, "missing") from None
    except OSError:
        raise Fault("config-invalid") from None
    try:
        pinned = x509.load_pem_x509_certificates(anchors)
        text = anchors.decode("ascii") + _successors(config / SUCCESSORS, pinned)
    except ValueError:
        path = str(config / "anchors" / "centre.pem")
        raise FileRefused("config-invalid", path, 0, "no certificate in it") from None
    return BoxIdentity(config, tls, statement, text)


def _pair(directory: Path, name: str) -> _Pair:
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
    return _Pair(certificate, key, certificate_pem + b"\n" + key_pem)


def _load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Load exactly the bytes that were checked: `ssl` reads files only, so from memory as one."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
