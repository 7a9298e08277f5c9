"""A box's TLS certificate, renewed in time: in one step, and only by one that has served [door].

The key stays, so whoever reads certificate and key reads two that fit, before and after. The old
certificate lies there until the centre has answered a call under the new one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.centre.https import CentreClient
from sdbox_agent.errors import Fault
from sdbox_agent.identity import keys, request
from sdbox_agent.identity.est import Est
from sdbox_agent.pki import boxcertificate, chain
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cryptography import x509

    from sdbox_agent.centre.https import Where
    from sdbox_agent.identity.keys import BoxIdentity
    from sdbox_agent.state.filesystem import FileSystem

TLS: Final = "tls.pem"
NEW: Final = "tls.pem.new"  # what a power cut may leave; written anew the next time


@dataclass(frozen=True, slots=True)
class Standing:
    """What the box has now."""

    until: dt.datetime
    renewed: bool  # just now


def renew(config: Path, where: Where, box: str, now: dt.datetime) -> Standing:
    """Renew the certificate under `config` if two thirds of its life are over.

    Raises SdboxError, and leaves the old one in place: as `keys.load`, `Est`, `CentreClient`;
    FileRefused("config-invalid") if its directory is not this user's.
    """
    identity = keys.load(config)
    current = identity.tls_certificate
    if now.timestamp() < boxcertificate.renewable_s(current):
        return Standing(current.not_valid_after_utc, renewed=False)
    files = _directory(config / "identity")
    with contextlib.closing(files):
        fresh = _asked(identity, where, box, now)
        _use(identity.with_certificate(fresh), where)
        try:
            put(files, fresh.public_bytes(Encoding.PEM))
        except OSError:
            raise Fault("disk-failed") from None
    return Standing(fresh.not_valid_after_utc, renewed=True)


def _asked(identity: BoxIdentity, where: Where, box: str, now: dt.datetime) -> x509.Certificate:
    """By whatever authorities the pinned centre has now: one may replace another meanwhile."""
    asked = request.ask(box, "tls", identity.tls_key)
    with contextlib.closing(Est(where, identity.client_context())) as centre:
        given = chain.authorities(centre.cacerts())
        return centre.simplereenroll(asked, given, now)


def _use(identity: BoxIdentity, where: Where) -> None:
    """A call that only a box in service is answered."""
    with contextlib.closing(CentreClient(where, identity.client_context())) as centre:
        centre.crls()


def put(files: FileSystem, pem: bytes) -> None:
    """The new one under the old one's name: whole, or not at all. Raises OSError."""
    files.write(NEW, pem)
    files.sync(NEW)
    files.rename(NEW, TLS)
    files.sync_directory()


def _directory(path: Path) -> RealFileSystem:
    try:
        return RealFileSystem(path)
    except OSError as error:
        reason = error.strerror or "belongs to another user"
        raise FileRefused("config-invalid", str(path), 0, reason) from None
