"""The box's TLS key under its certificate, as connections use them [door].

A renewed certificate on the same key is taken by the next connection; those that are open stay as
they are. Whatever else may come to lie in its place is not taken: another key needs a start.
"""

from __future__ import annotations

import fcntl
import os
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from sdbox_agent.errors import Fault
from sdbox_agent.identity import centreanchors
from sdbox_agent.pki.certificate import spki
from sdbox_agent.state import trusted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# memfd_create(2): not its content, not its size, and no other seals
_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
CERTIFICATE_END: Final = b"-----END CERTIFICATE-----"  # RFC 7468 section 5.1


@dataclass(frozen=True, slots=True)
class TlsPair:
    """Both, as they were read, and fitting together; a `request.Signer`."""

    path: Path = field(repr=False)  # of the certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    pem: bytes = field(repr=False)  # certificate, then key

    @property
    def public_key_der(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""
        return spki(self.key.public_key())

    def sign(self, message: bytes) -> bytes:
        """ECDSA over SHA-256 of `message`: an ECDSA-Sig-Value, DER."""
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))

    def under(self, certificate: x509.Certificate) -> TlsPair:
        """The same key under another certificate of its, of which nothing is kept yet."""
        own = self.pem.partition(CERTIFICATE_END)[2]
        pem = certificate.public_bytes(Encoding.PEM).rstrip(b"\n") + own
        return TlsPair(self.path, certificate, self.key, pem)

    def context(self, anchors_pem: str) -> ssl.SSLContext:
        """TLS 1.3 to the centre, to nobody else's certificate than its own authority's.

        Raises Fault("config-invalid") if the anchors are none.
        """
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)  # checks host name and certificate
        centreanchors.pin(context, anchors_pem)
        try:
            load_chain(context, self.pem)
        except ssl.SSLError:
            raise Fault("config-invalid") from None
        context.newer = _Newer(self)
        return context


class _Newer:
    """Whether another certificate lies on disk by now, on the very key."""

    def __init__(self, own: TlsPair) -> None:
        self._own = own
        self._seen = self._read()

    def __call__(self) -> bytes | None:
        """Certificate and key, PEM, if it does, once. What can't be read is not there."""
        found = self._read()
        if found is None or found == self._seen:
            return None
        self._seen = found
        try:
            certificate = x509.load_pem_x509_certificate(found)
        except ValueError:
            return None
        if certificate.public_key() != self._own.key.public_key():
            return None
        return self._own.under(certificate).pem

    def _read(self) -> bytes | None:
        try:
            return trusted.read(self._own.path)
        except (Fault, OSError):
            return None


class _Context(ssl.SSLContext):
    """Looks for a renewed certificate before each handshake."""

    newer: Callable[[], bytes | None] = staticmethod(lambda: None)

    @override
    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        pem = self.newer()
        if pem is not None:
            load_chain(self, pem)
        return super().wrap_socket(*args, **options)


def load_chain(context: ssl.SSLContext, pem: bytes) -> None:
    """Load exactly the bytes that were checked: `ssl` reads files only, so from memory as one.

    Nobody can change it any more, and it is gone when this returns.
    """
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(descriptor, pem)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
