"""What card worker and library child say to each other: one datagram each way, a reply a request.

The child runs a maker's code on what a card says: its replies are read as from a stranger. A PIN is
the one request that is no message: a byte that begins no MessagePack, and the field behind it, so
that it stays in buffers that can be overwritten.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sdbox_agent.cardkind import KeyName  # noqa: TC001  msgspec reads it at run time
from sdbox_agent.errors import DecodeError

# Ours
MAX_FRAME_BYTES: Final = 64 * 1024  # three certificates, and room
MAX_CERTIFICATE_BYTES: Final = 16 * 1024
PIN: Final = 0xC1  # MessagePack's "never used"

Der = Annotated[bytes, Meta(min_length=1, max_length=MAX_CERTIFICATE_BYTES)]
Scheme = Literal["ecdsa", "pss"]
Wrapping = Literal["ecdh", "rsa-oaep-sha256"]
# What may go wrong in the child. Nothing of the card's or the library's own words gets through.
Code = Literal[
    "card-kind-unknown",  # no token of that serial
    "ambiguous-card",
    "card-data-invalid",
    "card-key-refused",
    "card-blocked",
    "card-removed",
    "card-failed",
]


class _Frame(Struct, frozen=True, forbid_unknown_fields=True, tag_field="t"):
    """Closed: what is not known is refused."""


class Open(_Frame, frozen=True, tag="open"):
    """Load the library, take the token; an empty serial is the only token there is."""

    module: Annotated[str, Meta(min_length=1, max_length=200)]
    serial: Annotated[str, Meta(max_length=16)]


class Login(_Frame, frozen=True, tag="login"):
    """Have the PIN entered at the reader's own pad."""


class Sign(_Frame, frozen=True, tag="sign"):
    """Sign a digest; which statement it is of, the worker alone knows."""

    key: KeyName
    scheme: Scheme
    digest: Annotated[bytes, Meta(min_length=32, max_length=48)]


class Unwrap(_Frame, frozen=True, tag="unwrap"):
    """Use 9D, once."""

    algorithm: Wrapping
    blob: Annotated[bytes, Meta(min_length=1, max_length=512)]


class Shown(_Frame, frozen=True, tag="shown"):
    """The token's certificates. `left`: PIN tries at least left; `pad`: a PIN goes in there."""

    auth: Der  # 9A
    key_management: Der  # 9D
    card_auth: Der  # 9E
    left: Annotated[int, Meta(ge=0, le=2)]
    pad: bool


class Done(_Frame, frozen=True, tag="done"):
    """A signature, a key, or nothing more to say."""

    value: Annotated[bytes, Meta(max_length=512)] = b""


class Wrong(_Frame, frozen=True, tag="wrong"):
    """That was not the PIN."""

    left: Annotated[int, Meta(ge=0, le=2)]


class Failed(_Frame, frozen=True, tag="failed"):
    """The child's last word."""

    code: Code


Request: TypeAlias = Open | Login | Sign | Unwrap
Reply: TypeAlias = Shown | Done | Wrong | Failed

encode: Final = msgspec.msgpack.Encoder().encode
_REQUESTS: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
_REPLIES: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)


def decode_request(frame: bytes | memoryview) -> Request:
    """Read what the worker asks. Raises DecodeError."""
    try:
        return _REQUESTS.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DecodeError("no request") from None


def decode_reply(frame: bytes) -> Reply:
    """Read what the child answers. Raises DecodeError."""
    try:
        return _REPLIES.decode(frame)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DecodeError("no reply") from None
