"""What box and centre say to each other: JSON over HTTPS, version 2, every type closed.

Who the box is comes from its TLS certificate; `box` here is only checked against it. Each answer
carries the next challenge (one use, bound to box and session). Bytes are base64 (RFC 4648).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from typing_extensions import override

from sdbox_agent.centre.eventstream import RESYNC
from sdbox_agent.centre.reported import MAX_MACHINE, MAX_USB, Network, UsbId
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import CHALLENGE_BYTES, Band, KemCiphertext, KemKey, Level

if TYPE_CHECKING:
    from collections.abc import Iterable

# Version 1 let the API hand out the tunnel's preshared key, and is not spoken any more.
WIRE_MIN: Final = 2
WIRE_MAX: Final = 2
MAX_REQUEST_BYTES: Final = 64 * 1024  # a proof with three certificates at their limit, in base64
MAX_ANSWER_BYTES: Final = 128 * 1024
MAX_LISTS, MAX_LIST_BYTES = 8, 128 * 1024  # in one answer; of one, as pki.revocation takes them
MAX_BODY_BYTES: Final = MAX_LISTS * MAX_LIST_BYTES * 4 // 3 + 1024  # of the one answer with lists
_HAVE: Final = re.compile(rf"[0-9a-f]{{64}}(,[0-9a-f]{{64}}){{0,{MAX_LISTS - 1}}}")

Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:-]+\Z")]
Label = Annotated[str, Meta(max_length=200)]  # for people
Addresses = Annotated[tuple[Label, ...], Meta(min_length=1, max_length=8)]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,40}\Z")]
Crl = Annotated[bytes, Meta(max_length=MAX_LIST_BYTES)]  # DER
Challenge = Annotated[bytes, Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]
Certificate = Annotated[bytes, Meta(min_length=1, max_length=8 * 1024)]  # DER
Jws = Annotated[bytes, Meta(max_length=16 * 1024)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Count = Annotated[int, Meta(ge=0, le=2**31)]
Seconds = Annotated[int, Meta(ge=0, le=2**40)]


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No unknown field is let in."""


class _Request(_Closed, frozen=True, kw_only=True):
    v: Literal[2] = 2
    session: Name


class HelloRequest(_Closed, frozen=True, kw_only=True):
    """POST /v1/hello: at boot without `session`, and at each card insertion with it."""

    v: Literal[1] = 1  # in every version: here it is agreed on
    box: Name
    session: Name | None = None
    boot_id: Name
    boot_counter: Count
    agent_version: Name
    wire_min: Count = WIRE_MIN
    wire_max: Count = WIRE_MAX


class HelloAnswer(_Closed, frozen=True, kw_only=True):
    """The centre's clock, the wire version it chose, its policy's version."""

    utc_s: Seconds
    wire: Count
    policy_version: Count
    challenge: Challenge | None = None


class ProofRequest(_Request, frozen=True, kw_only=True):
    """POST /v1/proof: the three certificates the card showed, and its signature."""

    auth: Certificate
    key_management: Certificate
    card_auth: Certificate
    statement: Jws
    levels: Annotated[tuple[Level, ...], Meta(max_length=8)]  # what this box's profile can do


class Policy(_Closed, frozen=True, kw_only=True):
    """Numbers of design section 2.10, as the centre sets them."""

    version: Count
    comparisons: Annotated[int, Meta(ge=1, le=10)] = 3
    captures: Annotated[int, Meta(ge=1, le=9)] = 3
    transaction_s: Annotated[int, Meta(ge=5, le=600)] = 60
    idle_s: Annotated[int, Meta(ge=10, le=86400)] = 900
    session_s: Annotated[int, Meta(ge=10, le=86400)] = 43200


class Grant(_Closed, frozen=True, kw_only=True):
    """A project the holder may enter now; or, with `code`, one shown but not to be chosen."""

    project: Name
    label: Label
    code: Code | None = None


class ProofAnswer(_Closed, frozen=True, kw_only=True):
    """The level of this session, decided once; what may be entered; the sealed reference."""

    level: Level
    policy: Policy
    grants: Annotated[tuple[Grant, ...], Meta(max_length=1000)]
    enrolment: Name
    reference: Annotated[bytes, Meta(min_length=1, max_length=64 * 1024)] | None = None  # DER
    attempts_left: Count  # of the card, over all sessions
    unlocks: Count = 0  # how often staff have unlocked this card: only ever grows
    notices: Annotated[tuple[Code, ...], Meta(max_length=8)] = ()  # for the person: refuse nothing
    challenge: Challenge


class AttemptRequest(_Request, frozen=True, kw_only=True):
    """POST /v1/attempt: reserve one comparison before it runs; at card-pin, check `otp` instead."""

    challenge: Challenge
    otp: Annotated[str, Meta(pattern=r"^[0-9]{6,8}\Z")] | None = None  # RFC 6238

    @override
    def __repr__(self) -> str:
        """Without its code."""
        return "<AttemptRequest>"


class AttemptAnswer(_Closed, frozen=True, kw_only=True):
    """Attempt `attempt` is spent from now on; the card has `left` after it, over all sessions."""

    attempt: Count
    left: Count
    challenge: Challenge
    code_right: bool | None = None  # at card-pin alone: was the one-time code the right one?


class ReceiptRequest(_Request, frozen=True, kw_only=True):
    """POST /v1/receipt: signed by card (9A) and box.

    `band` stands beside what is signed: it opens nothing, and only the ageing of the template is
    judged by it.
    """

    statement: Jws
    kem_key: KemKey  # the receipt names its digest
    band: Band | None = None  # of the match, at host-match


class Carrier(_Closed, frozen=True, kw_only=True):
    """Where WireGuard is carried over TLS, for hosts that let no UDP through."""

    endpoint: Label  # "192.0.2.3:443" or "[2001:db8::3]:443"
    pin: Annotated[bytes, Meta(min_length=32, max_length=32)]  # SHA-256 of its certificate (DER)
    token: Key  # taken once, within 30 s and while the lease lasts, for this session alone

    @override
    def __repr__(self) -> str:
        """Without its token."""
        return "<Carrier>"


class ReceiptAnswer(_Closed, frozen=True, kw_only=True):
    """The peer is installed: the tunnel may be built.

    Salt and ciphertext are of use to the box alone, which holds the key they were made for.
    """

    peer: Key
    psk_salt: Key
    kem_ciphertext: KemCiphertext
    endpoint: Label  # "192.0.2.1:51820" or "[2001:db8::1]:51820"
    addresses: Addresses  # the box's own inside the tunnel, "10.77.0.2/32"
    vm: Label  # the VM's address inside the tunnel: it answers an echo request
    lease_s: Annotated[int, Meta(ge=1, le=3600)]
    carrier: Carrier | None = None
    challenge: Challenge

    @override
    def __repr__(self) -> str:
        """Without its salt."""
        return "<ReceiptAnswer>"


class RenewRequest(_Request, frozen=True, kw_only=True):
    """POST /v1/renew: signed by card (9A)."""

    statement: Jws


class RenewAnswer(_Closed, frozen=True, kw_only=True):
    """The lease runs for `lease_s` from the moment the request was sent."""

    lease_s: Annotated[int, Meta(ge=1, le=3600)]
    challenge: Challenge


class EndRequest(_Request, frozen=True, kw_only=True):
    """POST /v1/end: the session is over, and why."""

    code: Code


class EndAnswer(_Closed, frozen=True, kw_only=True):
    """Known."""


class LinkRequest(_Closed, frozen=True, kw_only=True):
    """GET /v1/link, in its query: the events for this box, from the one after Last-Event-ID."""

    boot_id: Name
    boot_counter: Count
    n: Count  # of this message: each one on the link since the start has a higher


class HealthRequest(_Closed, frozen=True, kw_only=True):
    """POST /v1/health: how the box is, now and then; nothing about who uses it."""

    v: Literal[2] = 2
    boot_id: Name
    boot_counter: Count
    n: Count  # as in LinkRequest: they share one count
    agent_version: Name
    state: Annotated[str, Meta(pattern=r"^[a-z]{1,20}\Z")]  # of its session machine
    tunnel: bool  # is one up?
    utc_s: Seconds | None  # its clock; none before the first hello
    readers: Annotated[int, Meta(ge=0, le=64)]
    sensor: bool
    audit_percent: Annotated[int, Meta(ge=0, le=100)]  # of the record's room, in use
    # What is so of the box: a key that can be copied; parts exchanged, a move, since `placed_s`.
    standing: Annotated[tuple[Code, ...], Meta(max_length=8)] = ()
    placed_s: Seconds | None = None  # as it was last told


class HealthAnswer(_Closed, frozen=True, kw_only=True):
    """Known: whence the centre saw it come ("192.0.2.0/24"), since when staff have it placed."""

    network: Annotated[str, Meta(pattern=r"^[0-9a-f.:]{2,39}/[0-9]{1,3}\Z")] | None = None
    placed_s: Seconds | None = None


class ReportRequest(_Closed, frozen=True, kw_only=True):
    """POST /v1/report: what a box is that has just been made; asked again while it waits."""

    v: Literal[2] = 2
    box: Name
    agent_version: Name
    profile: Name
    revision: Count  # of the profile
    machine: Annotated[str, Meta(max_length=MAX_MACHINE)]  # as its firmware names it
    usb: Annotated[tuple[UsbId, ...], Meta(max_length=MAX_USB)]  # what is plugged in
    tpm: bool
    network: Network = ()  # the host's, from where the box stands
    keys: Annotated[str, Meta(pattern=r"^[A-Z2-7]{5}(-[A-Z2-7]{5}){3}\Z")]  # as read out


class ReportAnswer(_Closed, frozen=True, kw_only=True):
    """How the box stands: it works once it is `active`, with a voucher, and placed."""

    state: Literal["ordered", "active", "suspended", "retired"]
    voucher: bool
    placed: bool


class RetireRequest(_Closed, frozen=True, kw_only=True):
    """POST /v1/retire: this box is about to destroy its keys; nobody else is it from now on."""

    v: Literal[2] = 2
    box: Name


class RetireAnswer(_Closed, frozen=True, kw_only=True):
    """Known, and nothing this box sends counts any more; staff still say so by an act."""


class Revoked(_Closed, frozen=True, kw_only=True):
    """Event `revoked`: the centre has ended this session, and why."""

    session: Name
    code: Code


class BoxSuspended(_Closed, frozen=True, kw_only=True):
    """Event `suspended`: the box is out of service; its connections are about to be cut."""


class NewCrls(_Closed, frozen=True, kw_only=True):
    """Event `crl`: GET /v1/crls has other lists now."""


class NewPolicy(_Closed, frozen=True, kw_only=True):
    """Event `policy`: it holds from the next session on."""

    version: Count


class Window(_Closed, frozen=True, kw_only=True):
    """Event `window`: staff's signed act that announces maintenance, as it stands."""

    act: Annotated[bytes, Meta(max_length=32 * 1024)]


class Resync(_Closed, frozen=True, kw_only=True):
    """Event `resync`: what came before is not kept; ask for everything anew."""


class CrlsAnswer(_Closed, frozen=True, kw_only=True):
    """GET /v1/crls: the CRLs (DER) of card and enrolment authorities; the box asks nobody else.

    `?have=` names those that it has, which are left out: SHA-256, hexadecimal, comma between.
    """

    crls: Annotated[tuple[Crl, ...], Meta(max_length=MAX_LISTS)]


class Problem(_Closed, frozen=True, kw_only=True):
    """Body of every answer that is not 2xx; `code` stands in errors.toml."""

    code: Code


Request = (
    HelloRequest
    | ProofRequest
    | AttemptRequest
    | ReceiptRequest
    | RenewRequest
    | EndRequest
    | HealthRequest
    | ReportRequest
    | RetireRequest
)
Event = Revoked | BoxSuspended | NewCrls | NewPolicy | Window | Resync
EVENTS: Final[dict[str, type[Event]]] = {
    "revoked": Revoked,
    "suspended": BoxSuspended,
    "crl": NewCrls,
    "policy": NewPolicy,
    "window": Window,
    RESYNC: Resync,
}
Known = TypeVar("Known", bound=_Closed)
_encoder: Final = msgspec.json.Encoder()


def lists_had(digests: Iterable[bytes]) -> str:
    """`have` of GET /v1/crls."""
    return ",".join(digest.hex() for digest in digests)


def parse_lists_had(have: str) -> frozenset[bytes]:
    """Read it back. Raises DecodeError."""
    if not have:
        return frozenset()
    if not _HAVE.fullmatch(have):
        raise DecodeError("not digests of lists")
    return frozenset(bytes.fromhex(digest) for digest in have.split(","))


def encode(message: _Closed) -> bytes:
    """The body of a request or answer."""
    return _encoder.encode(message)


def decode(body: bytes, kind: type[Known], limit_bytes: int = MAX_BODY_BYTES) -> Known:
    """Read a body as exactly `kind`. Raises DecodeError for anything else.

    Two members of one name are refused too (RFC 8259 section 4 leaves their meaning open): two
    readers must never see two different requests in the same bytes.
    """
    if len(body) > limit_bytes:
        raise DecodeError("body too large")
    try:
        message = msgspec.json.decode(body, type=kind)
        json.loads(body, object_pairs_hook=_once)  # of known shape by now, so never deep
    except (ValueError, RecursionError):  # msgspec's, json's and UTF-8's errors are ValueErrors
        raise DecodeError("not a message of this type") from None
    return message


def kind_of(event: Event) -> str:
    """How the stream calls this event."""
    return next(kind for kind, known in EVENTS.items() if type(event) is known)


def decode_event(kind: str, data: bytes) -> Event:
    """Read an event. Raises DecodeError for another kind, or data that is not that kind's."""
    known = EVENTS.get(kind)
    if known is None:
        raise DecodeError("not a kind of event")
    return decode(data, known)


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError
