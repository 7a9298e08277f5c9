"""What the gateway tells the program that takes its place in the same process. No I/O.

Of a lease there stands what card and box signed, and what the gateway itself had decided: its
address, its end, what the preshared key comes of (not the key, which wireguard-go alone has). All
else is read from the statements again, once they verify. One JSON object.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from sdbox_agent.centre.wire import (  # noqa: TC001  msgspec reads annotations at run time
    Carrier,
    Certificate,
    Jws,
    Key,
    Label,
    Name,
)
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import KemCiphertext  # noqa: TC001  msgspec's
from sdbox_centre.gateway_wire import Port, SessionKey  # noqa: TC001
from sdbox_centre.window import Opened  # noqa: TC001

MAX_BYTES: Final = 64 * 1024 * 1024  # 1,000 leases are 5 MB

Descriptor = Annotated[int, Meta(ge=3, le=2**20)]
UtcSeconds = Annotated[int, Meta(ge=0, le=2**40)]
MonotonicSeconds = Annotated[float, Meta(ge=0, le=2.0**40)]


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    @override
    def __repr__(self) -> str:
        """Without what stands in it."""
        return f"<{type(self).__name__}>"


class KeptLease(_Closed, frozen=True, kw_only=True):
    """One lease."""

    box: Name
    statement: Jws  # the receipt
    certificates: tuple[Certificate, Certificate, Certificate]  # 9A, 9D, 9E
    host: Annotated[int, Meta(ge=0, le=2**31)]  # in the project's pools
    salt: Key
    ciphertext: KemCiphertext
    ends_s: MonotonicSeconds  # CLOCK_BOOTTIME, which knows no restart but the machine's
    carrier: Carrier | None = None
    renewal: Jws | None = None  # the last


class KeptToken(_Closed, frozen=True, kw_only=True):
    """A carrier's token that has not been taken."""

    sha256: Key
    session: SessionKey
    ends_s: MonotonicSeconds


class Memory(_Closed, frozen=True, kw_only=True):
    """What a gateway knows."""

    leases: tuple[KeptLease, ...]
    tokens: tuple[KeptToken, ...]
    seen: tuple[tuple[Key, UtcSeconds], ...]  # digests of receipts, and their dates
    oldest_utc_s: UtcSeconds  # no receipt with an earlier date is believed
    window: Opened | None = None  # when it ends is decided; whether it is there, staff's act says


class KeptInterface(_Closed, frozen=True, kw_only=True):
    """A wireguard-go that goes on running."""

    project: Name
    name: Label
    port: Port
    public_key: Key
    pid: Annotated[int, Meta(ge=2, le=2**31)]
    control: Descriptor  # the connection to its control socket


class HandOver(_Closed, frozen=True, kw_only=True):
    """What a gateway knows, and what it holds open."""

    v: Literal[1] = 1  # a release that changes this must read the one before, too
    memory: Memory
    interfaces: tuple[KeptInterface, ...]
    sockets: dict[Name, Descriptor]  # the listening one, and what the service manager gave
    clients: tuple[Descriptor, ...]
    locks: tuple[Descriptor, ...]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that must stay open."""
        controls = (interface.control for interface in self.interfaces)
        return (*controls, *self.sockets.values(), *self.clients, *self.locks)


_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[HandOver]] = msgspec.json.Decoder(HandOver)


def encode(handover: HandOver) -> bytes:
    """Its one form."""
    return _encoder.encode(handover)


def decode(text: bytes) -> HandOver:
    """Read it back. Raises DecodeError."""
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):
        raise DecodeError("not a hand-over") from None
