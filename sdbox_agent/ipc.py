"""Frames between our processes: one JSON object a frame over AF_UNIX SOCK_SEQPACKET.

Every frame is checked twice at the door: the kernel names the sender's uid (SCM_CREDENTIALS, so it
holds for a socket that a service manager made for us too), and msgspec accepts exactly one closed
type per `t`. Bytes travel as base64 (RFC 4648 section 4). This module knows framing and messages;
what they mean is the business of the two ends.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
from typing import TYPE_CHECKING, Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from sdbox_agent.cardkind import Bit, CardKind, FingerKey, KeyName  # noqa: TC001  msgspec's
from sdbox_agent.errors import DecodeError
from sdbox_agent.sensorkind import SensorKind  # noqa: TC001  msgspec's
from sdbox_agent.terms import Band, CarriedBy, KemCiphertext, KemKey  # noqa: TC001  msgspec's

if TYPE_CHECKING:
    from pathlib import Path

MAX_FRAME_BYTES: Final = 128 * 1024
MAX_DESCRIPTORS: Final = 4
MAX_TEXT: Final = 200  # characters
FRAME_TAG_BYTES: Final = 16
MAX_FRAME_TAGS: Final = 256  # as JSON they take 7 kB of a frame
_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid (unix(7))

Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,40}\Z")]
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
FrameTag = Annotated[bytes, Meta(min_length=FRAME_TAG_BYTES, max_length=FRAME_TAG_BYTES)]
Challenge = Annotated[bytes, Meta(min_length=32, max_length=32)]
Der = Annotated[bytes, Meta(max_length=64 * 1024)]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e7)]
Tries = Annotated[int, Meta(ge=0, le=15)]  # of a retry counter: the X of 63CX


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="t"):
    """What every frame carries: version, session number (0: none), and its type `t`."""

    v: Literal[1] = 1
    n: Count = 0

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} n={self.n}>"  # never the fields: some are keys


# -- either way ----------------------------------------------------------------------------------


class Failed(Message, frozen=True, kw_only=True, tag="error"):
    """The request of session `n` can't be done; `code` stands in errors.toml."""

    code: Code


# -- core to card worker -------------------------------------------------------------------------


class Watch(Message, frozen=True, kw_only=True, tag="watch"):
    """Report what lies in the readers, then every change."""


class OpenCard(Message, frozen=True, kw_only=True, tag="open"):
    """Take the card of `insertion` for session `n`: one exclusive connection.

    It is spoken to as the first of `kinds` whose demands it meets.
    """

    insertion: Count
    kinds: Annotated[tuple[CardKind, ...], Meta(min_length=1, max_length=8)]


class GrantUnwrap(Message, frozen=True, kw_only=True, tag="grant"):
    """The finger process may ask one unwrap (9D) in session `n`."""


class GrantCompare(Message, frozen=True, kw_only=True, tag="grant_compare"):
    """The finger process may have the card compare, so many times in session `n`."""

    comparisons: Annotated[int, Meta(ge=1, le=10)]


class GrantPin(Message, frozen=True, kw_only=True, tag="grant_pin"):
    """A PIN may be given in session `n`: from the reader's own pad, or by the prompt process."""


class Statement(Message, frozen=True, kw_only=True, tag="statement"):
    """Sign one of the three typed statements; the worker builds the bytes itself."""

    typ: Literal["proof", "receipt", "renew"]
    fields: msgspec.Raw  # JSON of that statement's type: statements.parse reads it strictly
    key: KeyName


class CloseCard(Message, frozen=True, kw_only=True, tag="close"):
    """Reset the card and let go of it."""


# -- card worker to core -------------------------------------------------------------------------


class Inserted(Message, frozen=True, kw_only=True, tag="inserted"):
    """A card is in `reader`; `insertion` is new for each insertion this worker has seen."""

    reader: Text
    insertion: Count


class Removed(Message, frozen=True, kw_only=True, tag="removed"):
    """That card is gone."""

    reader: Text
    insertion: Count


class ReadersChanged(Message, frozen=True, kw_only=True, tag="readers"):
    """The readers that PC/SC has now; none while pcscd is away. Cards in them were told before."""

    readers: tuple[Text, ...]


class Opened(Message, frozen=True, kw_only=True, tag="opened"):
    """What the card shows to anybody: three certificates (DER), its CHUID, its fingers.

    `guid` and `expires` are absent where a maker's library shows no CHUID. `pin_left` is what an
    empty VERIFY answered: 0 is blocked, None a card without a PIN reference.
    """

    kind: Text  # name of the kind it was taken for
    auth: Der  # 9A
    key_management: Der  # 9D
    card_auth: Der  # 9E
    guid: Annotated[bytes, Meta(min_length=16, max_length=16)] | None = None
    expires: Annotated[str, Meta(pattern=r"^[0-9]{8}\Z")] | None = None  # YYYYMMDD
    bits: Annotated[tuple[Bit, ...], Meta(max_length=2)] = ()
    match_left: Annotated[tuple[Tries, ...], Meta(max_length=2)] = ()  # of each of `bits`
    pin_left: Tries | None = None
    pad: bool = False  # the reader has a PIN pad of its own, and this kind uses it


class Signed(Message, frozen=True, kw_only=True, tag="signed"):
    """One signature over a statement the worker built (JWS parts, RFC 7515 section 7.2.1)."""

    typ: Literal["proof", "receipt", "renew"]
    payload: Annotated[bytes, Meta(max_length=8192)]
    protected: Annotated[bytes, Meta(max_length=1024)]
    signature: Annotated[bytes, Meta(max_length=512)]


class PinEntered(Message, frozen=True, kw_only=True, tag="pin_entered"):
    """The card took its PIN."""


class PinRefused(Message, frozen=True, kw_only=True, tag="pin_refused"):
    """The card did not: so many tries are left. Another may be given."""

    left: Tries


class CardClosed(Message, frozen=True, kw_only=True, tag="closed"):
    """The card of session `n` has been reset and let go."""


# -- finger process to card worker, and back -----------------------------------------------------


class Unwrap(Message, frozen=True, kw_only=True, tag="unwrap"):
    """Open the content-encryption key's wrapping with 9D: an ephemeral point, or an OAEP block."""

    algorithm: Literal["ecdh", "rsa-oaep-sha256"]
    blob: Annotated[bytes, Meta(max_length=512)]


class Unwrapped(Message, frozen=True, kw_only=True, tag="unwrapped"):
    """ECDH: the shared X coordinate. OAEP: the content-encryption key."""

    key: Annotated[bytes, Meta(max_length=66)]


class OnCardCompare(Message, frozen=True, kw_only=True, tag="on_card_compare"):
    """Have the card compare a probe (ISO/IEC 19794-2 compact card format, 3 bytes a minutia)."""

    key: FingerKey
    minutiae: Annotated[bytes, Meta(min_length=3, max_length=3 * 255)]


class Compared(Message, frozen=True, kw_only=True, tag="compared"):
    """The card's decision, and what its own counter has left for that finger."""

    match: bool
    left: Tries | None = None  # None: it matched


# -- core to finger process ----------------------------------------------------------------------


class PrepareFinger(Message, frozen=True, kw_only=True, tag="prepare"):
    """Everything this transaction's finger process may know before it scans.

    `sealed` at host-match; `bits`, and no reference at all, at card-match.
    """

    level: Literal["host-match", "card-match"]
    sealed: Der | None = None
    bits: Annotated[tuple[Bit, ...], Meta(max_length=2)] = ()
    crls: Annotated[tuple[Der, ...], Meta(max_length=8)] = ()  # of the enrolment authorities
    auth: Der  # the card's certificates as read in this session: the reference must name them
    key_management: Der
    card_auth: Der
    enrolment: Text
    anchors: tuple[Der, ...]  # enrolment-signing anchors
    utc_s: Annotated[int, Meta(ge=0, le=2**40)]  # the core's trusted clock
    captures: Annotated[int, Meta(ge=1, le=9)]  # captures allowed a scan, and an attempt
    sensor: SensorKind  # of the firmware profile
    frame_key: Key  # of the tags below: made when the core started, in no other place
    frame_tags: Annotated[tuple[FrameTag, ...], Meta(max_length=MAX_FRAME_TAGS)] = ()


class Scan(Message, frozen=True, kw_only=True, tag="scan"):
    """Capture until a probe is good enough, or the captures are spent."""


class Compare(Message, frozen=True, kw_only=True, tag="compare"):
    """Compare probe and reference; the attempt has been reserved.

    At host-match, more captures may be asked for (hints) before the verdict, all of this attempt.
    At card-match it is one, and `key` names the finger that the person was asked for.
    """

    attempt: Count
    key: FingerKey | None = None


class Cancel(Message, frozen=True, kw_only=True, tag="cancel"):
    """Forget everything and end."""


# -- finger process to core ----------------------------------------------------------------------


class FingerReady(Message, frozen=True, kw_only=True, tag="ready"):
    """Warm: libfprint is loaded and the sensor is open."""


class Prepared(Message, frozen=True, kw_only=True, tag="prepared"):
    """The reference is open and its signature holds."""


class Hint(Message, frozen=True, kw_only=True, tag="hint"):
    """What the person may do, as an AskAgain code, or `place-finger` when the sensor waits."""

    code: Code


class FrameTaken(Message, frozen=True, kw_only=True, tag="frame"):
    """The sensor gave a frame. Its tag is for the next process: no frame is ever taken twice.

    See sensor.replay: to the core a tag is 16 bytes that mean nothing.
    """

    tag: FrameTag


class ProbeReady(Message, frozen=True, kw_only=True, tag="probe_ready"):
    """A probe good enough to spend an attempt on; quality 0..100."""

    quality: Annotated[int, Meta(ge=0, le=100)]


class Verdict(Message, frozen=True, kw_only=True, tag="verdict"):
    """The comparison decision. Never the score."""

    match: bool
    band: Band | None = None  # of a match at host-match, for the ageing of the template
    advice: Code | None = None  # of a non-match (an AskAgain code), where there is a better one
    left: Tries | None = None  # what the card's own counter has left, at card-match


# -- core to tunnel helper -----------------------------------------------------------------------


class WarmTunnel(Message, frozen=True, kw_only=True, tag="warm_tunnel"):
    """Start for session `n` what takes long and holds no key; only a failure is told."""


class PrepareTunnel(Message, frozen=True, kw_only=True, tag="prepare_tunnel"):
    """Make fresh key pairs for session `n`: WireGuard's and ML-KEM-768's."""


class Carrier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another way for WireGuard than UDP: over TLS, to the gateway's own end."""

    endpoint: Text
    pin: Hash  # SHA-256 of its certificate (DER)
    token: Key  # taken once
    proxy: Text | None = None  # to be asked for the connection (HTTP CONNECT)

    @override
    def __repr__(self) -> str:
        return "<Carrier>"  # never the token


class OpenTunnel(Message, frozen=True, kw_only=True, tag="open_tunnel"):
    """Bring the tunnel up, and keep it no longer than the lease without an `extend`."""

    peer: Key
    endpoint: Text  # "192.0.2.1:51820" or "[2001:db8::1]:51820": never a name
    psk_salt: Key  # the preshared key itself is derived by the helper: tunnel.psk
    kem_ciphertext: KemCiphertext
    receipt_sha256: Hash
    addresses: tuple[Text, ...]  # the box's own, inside the tunnel: "10.77.0.2/32"
    vm: Text  # the VM's address inside the tunnel: it must answer an echo request
    lease_s: Annotated[int, Meta(ge=1, le=3600)]
    carrier: Carrier | None = None  # tried when UDP brings no handshake


class ExtendLease(Message, frozen=True, kw_only=True, tag="extend"):
    """A renewed lease: `lease_s` from now, on the helper's monotonic clock."""

    lease_s: Annotated[int, Meta(ge=1, le=3600)]


class CloseTunnel(Message, frozen=True, kw_only=True, tag="close_tunnel"):
    """Take the tunnel down and forget its keys. Answered even if nothing was up."""


class TunnelStatus(Message, frozen=True, kw_only=True, tag="status"):
    """Ask what is up."""


# -- tunnel helper to core -----------------------------------------------------------------------


class TunnelPrepared(Message, frozen=True, kw_only=True, tag="tunnel_prepared"):
    """The public halves of the session's keys."""

    wg_public_key: Key
    kem_key: KemKey


class TunnelUp(Message, frozen=True, kw_only=True, tag="up"):
    """A handshake newer than the start, and the VM answered."""

    handshake_ms: Milliseconds
    vm_ms: Milliseconds
    carrier: CarriedBy = "udp"


class TunnelDown(Message, frozen=True, kw_only=True, tag="down"):
    """It is not up, or no longer; the interface is gone when this is sent."""

    code: Code
    issuer: Text = ""  # with `tls-inspected`: who opens the connection, as its certificate says


class TunnelClosed(Message, frozen=True, kw_only=True, tag="tunnel_closed"):
    """Nothing is up: no interface, no key, no process."""


class TunnelActive(Message, frozen=True, kw_only=True, tag="active"):
    """The session has sent something through the tunnel since this was last told."""


class TunnelState(Message, frozen=True, kw_only=True, tag="tunnel_state"):
    """Answer to `status`."""

    up: bool


# to the card worker
FromCore = Watch | OpenCard | GrantUnwrap | GrantCompare | GrantPin | Statement | CloseCard
FromCard = (
    Inserted
    | Removed
    | ReadersChanged
    | Opened
    | Signed
    | PinEntered
    | PinRefused
    | CardClosed
    | Failed
)
ToCardFromFinger = Unwrap | OnCardCompare
ToFingerFromCard = Unwrapped | Compared | Failed
ToFinger = PrepareFinger | Scan | Compare | Cancel
FromFinger = FingerReady | Prepared | Hint | FrameTaken | ProbeReady | Verdict | Failed
ToTunnel = WarmTunnel | PrepareTunnel | OpenTunnel | ExtendLease | CloseTunnel | TunnelStatus
FromTunnel = (
    TunnelPrepared | TunnelUp | TunnelActive | TunnelDown | TunnelClosed | TunnelState | Failed
)

In = TypeVar("In", bound=Message)
_encoder: Final = msgspec.json.Encoder()


class ForeignPeer(DecodeError):  # noqa: N818  it names who, not what went wrong
    """A frame came from a uid that has no business here."""


class Closed(ConnectionError):  # noqa: N818  a state, told as an exception
    """The other end is gone."""


class Channel(Generic[In]):
    """One end of a connection that accepts the messages of union `accepts` from uid `peer_uid`."""

    def __init__(self, sock: socket.socket, accepts: object, peer_uid: int) -> None:
        name_senders(sock)
        self.sock = sock
        self.peer_uid = peer_uid
        self._decoder: msgspec.json.Decoder[In] = msgspec.json.Decoder(accepts)

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self.sock.fileno()

    @property
    def ended(self) -> bool:
        """Is the other end gone, whatever it has left unread?"""
        poll = select.poll()
        poll.register(self.sock, select.POLLHUP)
        return bool(poll.poll(0))

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send one frame. Raises Closed if nobody is there, OSError if the buffer is full."""
        frame = _encoder.encode(message)
        if len(frame) > MAX_FRAME_BYTES:
            raise ValueError("frame too large")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        try:
            self.sock.sendmsg([frame], rights if descriptors else [])
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self) -> In:
        """One message. Raises Closed at the end, DecodeError for anything not foreseen."""
        message, descriptors = self.receive_with_descriptors()
        for descriptor in descriptors:
            os.close(descriptor)
        return message

    def receive_with_descriptors(self) -> tuple[In, list[int]]:
        """One message and the descriptors that came with it, which the caller now owns."""
        space = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(4 * MAX_DESCRIPTORS)
        try:
            frame, ancillary, flags, _ = self.sock.recvmsg(
                MAX_FRAME_BYTES + 1, space, socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError as error:
            raise Closed from error
        uid, descriptors = read_ancillary(ancillary)
        try:
            return self._decode(frame, uid, flags), descriptors
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise

    def _decode(self, frame: bytes, uid: int | None, flags: int) -> In:
        if not frame:
            raise Closed
        if uid != self.peer_uid:
            raise ForeignPeer("frame from a foreign uid")
        if len(frame) > MAX_FRAME_BYTES or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise DecodeError("frame too large")
        try:
            return self._decoder.decode(frame)
        except (
            msgspec.DecodeError,
            UnicodeDecodeError,
            RecursionError,
        ):  # a bad string has its own
            raise DecodeError("not a message of this channel") from None

    def close(self) -> None:
        """Let go; the other end sees the end."""
        self.sock.close()


def read_ancillary(ancillary: list[tuple[int, int, bytes]]) -> tuple[int | None, list[int]]:
    """The sender's uid as the kernel names it, and descriptors, which the caller now owns."""
    uid: int | None = None
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if level != socket.SOL_SOCKET:
            continue
        if kind == socket.SCM_CREDENTIALS:
            _, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
        elif kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
            descriptors.extend(received)
    return uid, descriptors


def name_senders(sock: socket.socket) -> None:
    """Have the kernel name each frame's sender; a listening socket hands this on."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


def connect(
    path: Path, accepts: object, peer_uid: int, timeout_s: float | None = None
) -> Channel[In]:
    """Connect to a listening socket of ours. Raises OSError.

    With `timeout_s`, no message waits longer, and connecting does not wait at all: it raises
    BlockingIOError while the other's backlog is full.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(timeout_s)
        name_senders(sock)  # before connecting: the first frame may be there at once
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return Channel(sock, accepts, peer_uid)


def listen_descriptors(names: tuple[str, ...] = ()) -> list[socket.socket]:
    """The sockets the service manager passed us (sd_listen_fds(3)), in its order.

    With `names` in theirs, where the manager names them at all (LISTEN_FDNAMES): it promises no
    order between a socket unit's descriptors and those of the store. Raises DecodeError if they
    are not exactly these.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=descriptor) for descriptor in range(3, 3 + count)]
    for sock in sockets:
        sock.set_inheritable(False)
    given = os.environ.get("LISTEN_FDNAMES")
    if not names or not given:
        return sockets
    named = dict(zip(given.split(":"), sockets, strict=False))
    if len(named) != count or set(named) != set(names):
        raise DecodeError("not the expected descriptors")
    return [named[name] for name in names]
