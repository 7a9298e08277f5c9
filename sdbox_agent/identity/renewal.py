"""A box's TLS certificate, renewed in time: in one step, and only by one that has served [door].

Where it lies in a file: a box with a chip makes its TLS keys in memory, and has nothing to renew
here but whom it knows the centre by. The key stays, so whoever reads certificate and key reads two
that fit, before and after. The old certificate lies there until the centre has answered a call
under the new one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.centre.https import CentreClient
from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.identity import centreanchors, est, keys, request
from sdbox_agent.identity.est import Est
from sdbox_agent.pki import boxcertificate, chain, successors
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from sdbox_agent.centre.https import Where
    from sdbox_agent.identity.keys import BoxIdentity
    from sdbox_agent.state.filesystem import FileSystem

TLS: Final = "tls.pem"
CENTRE: Final = "centre.pem"  # centreanchors.SUCCESSORS
NEW: Final = "new"  # what a power cut may leave; written anew the next time


@dataclass(frozen=True, slots=True)
class Standing:
    """What the box has now."""

    until: dt.datetime | None  # none of a box whose TLS key is in memory
    renewed: bool  # just now
    learned: int = 0  # successors of the centre's authority, just now


def renew(config: Path, where: Where, box: str, now: dt.datetime) -> Standing:
    """Renew the certificate under `config` if two thirds of its life are over.

    And learn who comes after the centre's authority, if somebody does: of that, a centre that is
    away is asked the next day. Raises SdboxError, and leaves the old certificate in place: as
    `keys.load`, `Est`, `CentreClient`; FileRefused("config-invalid") if its directory is not this
    user's; Fault("disk-failed").
    """
    if keys.is_in_chip(config):
        return Standing(None, renewed=False, learned=_learn_alone(config, where))
    identity = keys.load(config)
    files = _directory(config / "identity")
    with contextlib.closing(files):
        context = identity.client_context()
        learned = _learn(identity.centre_anchors, Est(where, context), files)
        current = identity.pair.certificate
        if now.timestamp() < boxcertificate.renewable_s(current):
            return Standing(current.not_valid_after_utc, renewed=False, learned=learned)
        fresh = _asked(identity, where, box, now)
        _use(identity.with_certificate(fresh), where)
        put(files, TLS, fresh.public_bytes(Encoding.PEM))
    return Standing(fresh.not_valid_after_utc, renewed=True, learned=learned)


def _learn_alone(config: Path, where: Where) -> int:
    """The same, for nobody yet: the key is the core's chip's. Raises as `keys.load`."""
    try:
        anchors = centreanchors.load(config)
    except FileNotFoundError as error:
        raise FileRefused("box-identity-missing", str(error.filename), 0, "missing") from None
    except OSError:
        raise Fault("config-invalid") from None
    pinned = tuple(x509.load_pem_x509_certificates(anchors.encode()))
    with contextlib.closing(_directory(config / "identity")) as files:
        return _learn(pinned, Est(where, est.anonymous(anchors)), files)


def _learn(pinned: tuple[x509.Certificate, ...], asking: Est, files: FileSystem) -> int:
    """How many successors were not pinned yet, and are from the next start on."""
    try:
        with contextlib.closing(asking) as centre:
            offered = centre.successors()
        new = successors.proven(pinned, offered)
    except (Fault, DecodeError):
        return 0
    if new:
        put(files, CENTRE, _pem(offered))
    return len(new)


def _pem(ders: tuple[bytes, ...]) -> bytes:
    loaded = map(x509.load_der_x509_certificate, ders)
    return b"".join(one.public_bytes(Encoding.PEM) for one in loaded)


def _asked(identity: BoxIdentity, where: Where, box: str, now: dt.datetime) -> x509.Certificate:
    """By whatever authorities the pinned centre has now: one may replace another meanwhile."""
    asked = request.ask(box, "tls", identity.pair)
    with contextlib.closing(Est(where, identity.client_context())) as centre:
        given = chain.authorities(centre.cacerts())
        return centre.simplereenroll(asked, given, now)


def _use(identity: BoxIdentity, where: Where) -> None:
    """A call that only a box in service is answered."""
    with contextlib.closing(CentreClient(where, identity.client_context())) as centre:
        centre.crls()


def put(files: FileSystem, name: str, pem: bytes) -> None:
    """The new one under the old one's name: whole, or not at all. Raises Fault("disk-failed")."""
    try:
        files.write(NEW, pem)
        files.sync(NEW)
        files.rename(NEW, name)
        files.sync_directory()
    except OSError:
        raise Fault("disk-failed") from None


def _directory(path: Path) -> RealFileSystem:
    try:
        return RealFileSystem(path)
    except OSError as error:
        reason = error.strerror or "belongs to another user"
        raise FileRefused("config-invalid", str(path), 0, reason) from None
