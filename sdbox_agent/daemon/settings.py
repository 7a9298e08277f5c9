"""What an operator gave this box, read and checked: everything under /etc/sdbox [door]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.identity import keys
from sdbox_agent.identity.vouching import Vouching
from sdbox_agent.profile import load
from sdbox_agent.state import trusted
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_agent.cardkind import CardKind
    from sdbox_agent.identity.keys import BoxIdentity
    from sdbox_agent.paths import Paths
    from sdbox_agent.profile.schema import Box, Profile, Sensor


@dataclass(frozen=True, slots=True)
class Settings:
    """Anchors are certificates, DER."""

    box: Box
    profile: Profile
    kinds: tuple[CardKind, ...]
    sensor: Sensor
    identity: BoxIdentity
    vouching: Vouching | None  # of a box whose TLS key lives in memory
    card_anchors: tuple[bytes, ...]
    desk_anchors: tuple[bytes, ...]

    def client(self) -> CentreClient:
        """A way to the centre, not connected yet."""
        own = self.vouching
        context = self.identity.client_context() if own is None else own.context
        return CentreClient(where_of(self.box), context)


def where_of(box: Box) -> Where:
    """The centre, as the box's settings name it."""
    centre = box.centre
    addresses = centre.addresses or (centre.host,)
    return Where(tuple((address, centre.port) for address in addresses), centre.host)


def read(paths: Paths, profiles: Path) -> Settings:
    """Read everything. Raises Fault (FileRefused names file and line)."""
    box = load.load_box(paths.config)
    whole = load.whole(box.profile, paths, profiles)
    identity = keys.load(paths.config, paths.tpm)
    vouching = Vouching(identity, where_of(box), box.box) if identity.tls is None else None
    return Settings(
        box,
        whole.profile,
        whole.kinds,
        whole.sensor,
        identity,
        vouching,
        certificates(paths.config / "anchors/cards.pem"),
        certificates(paths.config / "anchors/desk.pem"),
    )


def certificates(path: Path) -> tuple[bytes, ...]:
    """The anchors in a PEM file, DER. Raises FileRefused("config-invalid")."""
    try:
        loaded = x509.load_pem_x509_certificates(trusted.read(path))
    except OSError:
        raise FileRefused("config-invalid", str(path), 0, "can't be read") from None
    except ValueError:
        raise FileRefused("config-invalid", str(path), 0, "no certificate in it") from None
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in loaded)
