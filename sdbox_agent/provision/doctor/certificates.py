"""The box's own certificates, and the authorities it believes: are they in date? Pure."""

from __future__ import annotations

import datetime as dt
import warnings
from typing import TYPE_CHECKING, Final

from cryptography import x509

from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor.finding import failed, ok, warn

if TYPE_CHECKING:
    from sdbox_agent.provision.doctor.finding import Finding

# A box renews its certificate at two thirds of its life: with less left than this, it did not.
RENEWED: Final = 0.3
ANCHOR_WARN: Final = dt.timedelta(days=90)  # time for a new authority to reach every box


def parse(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file, one at least. Raises DecodeError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of oddities that path validation will judge
            return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise DecodeError("no certificate") from None


def own(check: str, certificate: x509.Certificate, now: dt.datetime) -> Finding:
    """One of the box's own: valid now, and renewed in time."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    detail = f"{check}: {begins:%Y-%m-%d} to {ends:%Y-%m-%d}"
    if not begins <= now <= ends:
        return failed("identity", code="box-certificate-expired", detail=detail)
    if ends - now < (ends - begins) * RENEWED:
        return warn("identity", code="box-certificate-ending", detail=detail)
    return ok("identity", detail)


def anchors(name: str, found: tuple[x509.Certificate, ...], now: dt.datetime) -> Finding:
    """A file of authorities: one of them at least is valid, and goes on being so."""
    valid = [c.not_valid_after_utc for c in found if c.not_valid_before_utc <= now]
    last = max(valid, default=None)
    if last is None or last < now:
        return failed("anchors", code="anchor-expired", detail=name)
    detail = f"{name}: {last:%Y-%m-%d}"
    if last - now < ANCHOR_WARN:
        return warn("anchors", code="anchor-ending", detail=detail)
    return ok("anchors", detail)
