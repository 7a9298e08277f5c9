"""What tunnel helper and carrier say to each other, and the way that is to be carried, checked.

One connection of the helper is one carriage: it lasts as long as both of them hold it, and there is
nothing to say at its end. Does not know sockets or how a way is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from sdbox_agent import errors, ipc
from sdbox_agent.errors import Refused, SdboxError
from sdbox_agent.tunnel.config import parse_endpoint

if TYPE_CHECKING:
    from sdbox_agent.tunnel.config import Endpoint

DIAL_S: Final = 4.0  # a carriage has 5 s to the handshake: what failed is told before
# What a carrier may say of its own way, and of nothing else.
Reason = Annotated[str, Meta(pattern=r"^(carrier|proxy|tls)-[a-z-]{1,32}\Z")]
Port = Annotated[int, Meta(ge=1, le=0xFFFF)]


class Carry(ipc.Message, frozen=True, kw_only=True, tag="carry"):
    """Carry what WireGuard sends from `port` of the loopback address.

    `until_s`, by the machine's monotonic clock: what it takes a carrier to start is dialled less.
    """

    carrier: ipc.Carrier
    port: Port
    until_s: Annotated[float, Meta(gt=0)]


class Carrying(ipc.Message, frozen=True, kw_only=True, tag="carrying"):
    """The gateway took the token: what comes to `port` of the loopback address is carried."""

    port: Port


class NotCarried(ipc.Message, frozen=True, kw_only=True, tag="not_carried"):
    """It can't be carried; with `tls-inspected`, who issued the certificate that was shown."""

    code: Reason
    issuer: ipc.Text = ""


ToCarrier = Carry
FromCarrier = Carrying | NotCarried


class Inspected(Refused):
    """The certificate is not the gateway's: somebody opens the connection."""

    def __init__(self, issuer: str) -> None:
        """`issuer`: who issued it, as text for a person."""
        super().__init__("tls-inspected")
        self.issuer = issuer


def refusal(message: NotCarried) -> SdboxError:
    """What the carrier said, as the error it is."""
    return Inspected(message.issuer) if message.issuer else errors.error(message.code)


@dataclass(frozen=True, slots=True, repr=False)
class Way:
    """How to reach the gateway's end. `repr` is the default one: the token is never shown."""

    gateway: Endpoint
    pin: bytes  # SHA-256 of its certificate
    token: bytes
    proxy: Endpoint | None

    @property
    def first(self) -> Endpoint:
        """Who is connected to: all that the walls need to know."""
        return self.proxy or self.gateway


def parse(carrier: ipc.Carrier) -> Way:
    """The checked way. Raises DecodeError."""
    proxy = None if carrier.proxy is None else parse_endpoint(carrier.proxy)
    return Way(parse_endpoint(carrier.endpoint), carrier.pin, carrier.token, proxy)
