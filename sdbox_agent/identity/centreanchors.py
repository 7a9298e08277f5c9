"""By whom a box knows the centre: the authority root laid down, and who comes after it [door].

The core's own user writes the file of successors (identity.renewal) and can put nothing into it
that is believed: each is proven, at every start, by what root laid down.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.errors import Fault
from sdbox_agent.pki import successors
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from pathlib import Path

PINNED: Final = "anchors/centre.pem"
SUCCESSORS: Final = "identity/centre.pem"  # and their proofs


def load(config: Path) -> str:
    """Under the settings directory, PEM.

    Raises FileRefused("config-invalid") for a file that is none, FileNotFoundError, OSError.
    """
    path = config / PINNED
    data = trusted.read(path)
    try:
        pinned = x509.load_pem_x509_certificates(data)
        text = data.decode("ascii")
    except ValueError:
        raise FileRefused("config-invalid", str(path), 0, "no certificate in it") from None
    return text + _successors(config / SUCCESSORS, pinned)


def pin(context: ssl.SSLContext, anchors_pem: str) -> None:
    """TLS 1.3, to these authorities and no other.

    Raises Fault("config-invalid") if they are none.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # RFC 5280, without OpenSSL's leniency
    try:
        context.load_verify_locations(cadata=anchors_pem)
    except (ssl.SSLError, ValueError):
        raise Fault("config-invalid") from None


def _successors(path: Path, pinned: list[x509.Certificate]) -> str:
    """Those that lie there and that a pinned authority vouches for; of nothing else, nothing."""
    try:
        loaded = x509.load_pem_x509_certificates(trusted.read(path))
        found = successors.proven(pinned, [one.public_bytes(Encoding.DER) for one in loaded])
    except (Fault, OSError, ValueError):  # DecodeError is a ValueError
        return ""
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in found)
