"""What API and gateway say to each other: one JSON object a packet, AF_UNIX SOCK_SEQPACKET.

The API hands on what card and box signed; it has no message that says "let this key in". Both ends
ask the kernel who the other is (SO_PEERCRED, unix(7)) before a word is said. [door]: the sockets.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from sdbox_agent import errors
from sdbox_agent.centre.wire import (  # noqa: TC001  msgspec reads annotations at run time
    Carrier,
    Certificate,
    Challenge,
    Code,
    Jws,
    Key,
    Label,
    Name,
)
from sdbox_agent.errors import DecodeError, Fault, Refused
from sdbox_agent.terms import KemCiphertext, KemKey  # noqa: TC001  msgspec's

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Self

MAX_PACKET_BYTES: Final = 128 * 1024
DEADLINE_S: Final = 2.0  # of one exchange, as the API waits for it
MAX_REMOVED: Final = 600  # the longest names there are fit into one packet
_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid

SessionKey = Annotated[
    str, Meta(min_length=3, max_length=201, pattern=r"^[A-Za-z0-9._:-]+/[A-Za-z0-9._:-]+\Z")
]
Port = Annotated[int, Meta(ge=1, le=65535)]
LeaseSeconds = Annotated[int, Meta(ge=1, le=3600)]


class _Message(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="t",
    repr_omit_defaults=True,
):
    v: Literal[1] = 1


class Install(_Message, frozen=True, kw_only=True, tag="install"):
    """Verify this receipt and let its peer in. Repeated, the answer is the same."""

    box: Name
    statement: Jws
    kem_key: KemKey
    auth: Certificate
    key_management: Certificate
    card_auth: Certificate


class Renewal(_Message, frozen=True, kw_only=True, tag="renew"):
    """Verify this renewal and lengthen its lease. Repeated, the answer is the same."""

    key: SessionKey
    statement: Jws
    challenge: Challenge  # the API's word that it is the one it gave out


class Remove(_Message, frozen=True, kw_only=True, tag="remove"):
    """Put these sessions' peers out, at once. Unknown ones are out already."""

    keys: Annotated[tuple[SessionKey, ...], Meta(max_length=MAX_REMOVED)]


class Admit(_Message, frozen=True, kw_only=True, tag="admit"):
    """The carrier's end was given this token; it sends the peer's packets from that port.

    Of the loopback address: from now on the peer has no other endpoint.
    """

    token: Key
    port: Port


class Act(_Message, frozen=True, kw_only=True, tag="act"):
    """Verify this act of staff's and keep it. One that is kept already is."""

    statement: Jws


class Installed(_Message, frozen=True, kw_only=True, tag="installed"):
    """The peer is in; its preshared key the box derives, and nobody else (tunnel.psk)."""

    peer: Key  # the project's WireGuard public key
    psk_salt: Key
    kem_ciphertext: KemCiphertext
    endpoint: Label
    addresses: tuple[Label, ...]
    vm: Label
    lease_s: LeaseSeconds
    carrier: Carrier | None = None

    @override
    def __repr__(self) -> str:
        """Without its salt."""
        return "<Installed>"


class Renewed(_Message, frozen=True, kw_only=True, tag="renewed"):
    """The lease runs that long from now on."""

    lease_s: LeaseSeconds


class Removed(_Message, frozen=True, kw_only=True, tag="removed"):
    """None of them is in."""


class Admitted(_Message, frozen=True, kw_only=True, tag="admitted"):
    """One connection: its packets go to this port of the loopback address, and nowhere else."""

    port: Port


class Kept(_Message, frozen=True, kw_only=True, tag="kept"):
    """The act holds, here too, from now on."""


class No(_Message, frozen=True, kw_only=True, tag="no"):
    """Refused, or not possible: `code` stands in errors.toml."""

    code: Code


Request = Install | Renewal | Remove | Admit | Act
Answer = Installed | Renewed | Removed | Admitted | Kept | No
Expected = TypeVar("Expected", Installed, Renewed, Removed, Admitted, Kept)
_encoder: Final = msgspec.json.Encoder()
_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_answers: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """One packet."""
    return _encoder.encode(message)


def decode_request(packet: bytes) -> Request:
    """Read what the API sent. Raises DecodeError."""
    try:
        return _requests.decode(packet)
    except (ValueError, RecursionError):
        raise DecodeError("not a request to the gateway") from None


def decode_answer(packet: bytes) -> Answer:
    """Read what the gateway sent. Raises DecodeError."""
    try:
        return _answers.decode(packet)
    except (ValueError, RecursionError):
        raise DecodeError("not an answer of the gateway") from None


def peer_uid(sock: socket.socket) -> int:
    """Who opened (or, seen from a client, listens on) the other end."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    return int(uid)


class GatewayClient:
    """The API's end. One exchange at a time; any trouble drops the connection, and is a Fault."""

    def __init__(self, path: Path, gateway_uid: int) -> None:
        self._path = path
        self._uid = gateway_uid
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None

    def install(self, request: Install) -> Installed:
        """Raises Refused with the gateway's code, Fault if it is away."""
        return self._exchange(request, Installed)

    def renew(self, request: Renewal) -> Renewed:
        """Raises Refused with the gateway's code, Fault if it is away."""
        return self._exchange(request, Renewed)

    def act(self, statement: bytes) -> None:
        """Hand over an act. Raises Refused with the gateway's code, Fault if it is away."""
        self._exchange(Act(statement=statement), Kept)

    def remove(self, keys: Iterable[str]) -> None:
        """Raises Fault if the gateway is away."""
        rest = tuple(keys)
        while rest:
            self._exchange(Remove(keys=rest[:MAX_REMOVED]), Removed)
            rest = rest[MAX_REMOVED:]

    def admit(self, token: bytes, port: int) -> int:
        """WireGuard's port. Raises Refused (carrier-refused), Fault if the gateway is away."""
        return self._exchange(Admit(token=token, port=port), Admitted).port

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, request: Request, expected: type[Expected]) -> Expected:
        with self._lock:
            try:
                answer = decode_answer(self._send(encode(request)))
            except (OSError, DecodeError) as error:  # TimeoutError is an OSError
                self._drop()
                raise Fault("centre-fault") from ConnectionError(f"gateway: {error}")
        if isinstance(answer, No):
            raise errors.error(answer.code)
        if not isinstance(answer, expected):
            raise Refused("lease-refused")
        return answer

    def _send(self, packet: bytes) -> bytes:
        """One packet out, one in. A connection that went stale is made anew, once."""
        stale = self._sock is not None
        try:
            return self._once(packet)
        except (BrokenPipeError, ConnectionResetError):
            if not stale:
                raise
            self._drop()
            return self._once(packet)

    def _once(self, packet: bytes) -> bytes:
        if self._sock is None:
            self._sock = _connect(self._path, self._uid)
        self._sock.send(packet)
        answer = self._sock.recv(MAX_PACKET_BYTES)
        if not answer:
            raise ConnectionResetError
        return answer

    def _drop(self) -> None:
        if self._sock is not None:
            with suppress(OSError):
                self._sock.close()
            self._sock = None


def _connect(path: Path, uid: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(path))
        if peer_uid(sock) != uid:
            raise PermissionError("the gateway's socket is held by somebody else")
    except OSError:
        sock.close()
        raise
    return sock
