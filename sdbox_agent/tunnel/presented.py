"""Who issued a certificate that we did not expect, as text for a person. Believes none of it."""

from __future__ import annotations

import warnings
from typing import Final

from cryptography import x509

MAX_ISSUER_CHARS: Final = 120


def issuer(certificate_der: bytes) -> str:
    """The issuer's name (RFC 4514), control and other invisible characters escaped, cut to fit.

    Empty if there is none that can be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that are not ours to mend
            name = x509.load_der_x509_certificate(certificate_der).issuer.rfc4514_string()
    except Exception:  # noqa: BLE001  ValueError, TypeError, InvalidVersion, …: it is hostile
        return ""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in name)
    return shown if len(shown) <= MAX_ISSUER_CHARS else shown[: MAX_ISSUER_CHARS - 1] + "…"
