"""What staff's acts say, and their one encoding. Knows no card, no key, no table.

An act says what is true of its subject from now on, whole: not "suspend this box" but "this is the
box, and it is suspended". So the newest act on a subject is all there is to know of it. `n` counts
the acts on one subject from 1: an older one never stands again. Unlocking, ending a session, giving
a device for codes and a planned window are things that happen: of those, too, the newest counts.

As with boxes' statements, a payload is the compact JSON of its fields in the order below, all of
them (but for one that says it may be left out), and is read only in that form. Its `v` stands in
the signature's header, beside the type TYP.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from typing_extensions import override

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import csr
from sdbox_agent.statements.fields import (  # noqa: TC001  msgspec reads annotations at run time
    Digest,
    Name,
)
from sdbox_agent.terms import Level  # noqa: TC001  msgspec's

if TYPE_CHECKING:
    from collections.abc import Mapping

TYP: Final = "staff"  # `sdbox-staff` in the header: no box's card worker has such a type
MAX_PAYLOAD_BYTES: Final = 8192
MAX_MOTIVE: Final = 200  # characters
MAX_WINDOW_S: Final = 600
LONGEST_WITHOUT_S: Final = 365 * 86400  # an enrolment without a finger
LONGEST_DEROGATION_S: Final = 90 * 86400  # by then it was moved back, or placed where it is
LONGEST_TOKEN_S: Final = 90 * 86400  # a box travels, and waits for somebody to set it up

Time = Annotated[int, Meta(ge=0, le=2**40)]  # UTC seconds
Label = Annotated[str, Meta(min_length=1, max_length=200)]  # for people
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]  # ISO 3166-1 alpha-2
Guid = Annotated[bytes, Meta(min_length=16, max_length=16)]
BoxName = Annotated[str, Meta(pattern=rf"^{csr.NAME.pattern}\Z")]  # what a certificate can bear
CertificateDer = Annotated[bytes, Meta(min_length=1, max_length=4096)]


class _Act(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
):
    ROLE: ClassVar[str]  # of the staff who may sign it
    ABOUT: ClassVar[str]  # the fields that name its subject

    n: Annotated[int, Meta(ge=1, le=2**31)]  # of this subject's acts
    utc_s: Time
    motive: Annotated[str, Meta(max_length=MAX_MOTIVE)]

    def __post_init__(self) -> None:
        """Raise ValueError for text that can't be shown as it is, or a motive that says nothing."""
        if not is_motive(self.motive):
            raise ValueError("a motive says why")
        texts = (getattr(self, name) for name in self.__struct_fields__)
        if not all(text.isprintable() for text in texts if isinstance(text, str)):
            raise ValueError("a label is one line of text")
        self.check()

    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""

    @classmethod
    def subject_of(cls, said: Mapping[str, object]) -> str:
        """What an act that says this would be about."""
        about = (said[name] for name in cls.ABOUT.split())
        words = (one.hex() if isinstance(one, bytes) else one for one in about)
        return "/".join(map(str, (cls.__struct_config__.tag, *words)))

    @property
    def subject(self) -> str:
        """What it is about: "grant/HOLDER/PROJECT"."""
        return self.subject_of({name: getattr(self, name) for name in self.ABOUT.split()})

    def restates(self, before: _Act) -> bool:
        """Whether nothing is true by this that was not before."""
        return replace(self, n=before.n, utc_s=before.utc_s, motive=before.motive) == before


class Holder(_Act, frozen=True, kw_only=True, tag="holder"):
    """A person, by pseudonym."""

    ROLE = "office"
    ABOUT = "holder"
    holder: Name
    removed: bool = False


class Card(_Act, frozen=True, kw_only=True, tag="card"):
    """A holder's card: SHA-256 of its certificates (9A, 9D, 9E) and its own number."""

    ROLE = "office"
    ABOUT = "card"
    card: Digest
    key_management_sha256: Digest
    card_auth_sha256: Digest
    guid: Guid
    holder: Name
    revoked: bool = False  # for good


class Enrolment(_Act, frozen=True, kw_only=True, tag="enrolment"):
    """A holder's one enrolment, on one card: of fingers, or of somebody without a usable one."""

    ROLE = "office"
    ABOUT = "holder"
    holder: Name
    card: Digest
    enrolment: Name
    finger: bool = True
    reference_sha256: Digest | None = None  # as the desk sealed it; none if the card compares
    not_before_s: Time
    not_after_s: Time

    @override
    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""
        if self.not_after_s <= self.not_before_s:
            raise ValueError("an enrolment ends after its beginning")
        if self.finger:
            return
        if self.reference_sha256 is not None:
            raise ValueError("a reference without a finger")
        if self.not_after_s - self.utc_s > LONGEST_WITHOUT_S:
            raise ValueError("two people look at it again after a year")


class Project(_Act, frozen=True, kw_only=True, tag="project"):
    """A project: its contract, its legal basis, and from where and how it may be entered."""

    ROLE = "projects"
    ABOUT = "project"
    project: Name
    label: Label
    levels: Annotated[tuple[Level, ...], Meta(min_length=1, max_length=3)]
    state: Literal["pending", "open", "suspended", "closed"] = "open"
    reason: Label | None = None  # why it is not open
    tenant: Literal["public", "company"] = "public"
    funder: Label | None = None
    contract_from_s: Time | None = None
    contract_until_s: Time | None = None
    legal_basis: Label | None = None
    legal_until_s: Time | None = None  # none: without an end
    countries: Annotated[tuple[Country, ...], Meta(max_length=50)] = ()  # of boxes
    boxes: Annotated[tuple[Name, ...], Meta(max_length=50)] | None = None  # none: any
    # Of a box that was moved or altered: not there, it is told; else it waits for a derogation. Not
    # in a payload that does not say so: acts from before there was any stay what was signed.
    when_moved: Literal["hold"] | UnsetType = UNSET

    @override
    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""
        for each in (self.levels, self.countries, self.boxes or ()):
            if list(each) != sorted(set(each)):
                raise ValueError("a list has one order, and nothing twice")


class Grant(_Act, frozen=True, kw_only=True, tag="grant"):
    """Whether a holder is a member of a project."""

    ROLE = "projects"
    ABOUT = "holder project"
    holder: Name
    project: Name
    withdrawn: bool = False
    role: Literal["member", "lead"] = "member"
    undertaking_s: Time | None = None  # when the holder signed the project's undertaking
    not_after_s: Time | None = None  # none: as long as the project


class Order(_Act, frozen=True, kw_only=True, tag="order"):
    """A box that is to be: whose, where, by which agreement; and what its first word is known by.

    It has no key yet, and the order gives it nothing: staff's act `Box` does, once it has keys and
    somebody has compared them. Of the token only the digest is here.
    """

    ROLE = "boxes"
    ABOUT = "box"
    box: BoxName
    token_sha256: Digest
    token_until_s: Time
    host: Label
    place: Label
    voucher: Label
    funders: Label | None = None
    country: Country
    rental_from_s: Time
    rental_until_s: Time
    withdrawn: bool = False

    @override
    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""
        if not 0 < self.token_until_s - self.utc_s <= LONGEST_TOKEN_S and not self.withdrawn:
            raise ValueError("a token ends within ninety days")
        if self.rental_until_s <= self.rental_from_s:
            raise ValueError("a rental ends after its beginning")


class Answers(_Act, frozen=True, kw_only=True, tag="answers"):
    """By this file a machine may be made that box: sdbox_agent/provision/setup/signature.py."""

    ROLE = "boxes"
    ABOUT = "box"
    box: BoxName
    answers_sha256: Digest  # of its bytes
    until_s: Time


class Box(_Act, frozen=True, kw_only=True, tag="box"):
    """A box: its keys, where it stands, by which agreement, from when until when.

    `tls_sha256` is of its TLS key (SubjectPublicKeyInfo, DER), which its certificates come and go
    on; or, as it was before boxes renewed them, of the one certificate.
    """

    ROLE = "boxes"
    ABOUT = "box"
    box: Name
    tls_sha256: Digest
    statement_certificate: CertificateDer
    state: Literal["ordered", "active", "suspended", "retired"] = "ordered"
    host: Label | None = None
    place: Label | None = None
    voucher: Label | None = None
    funders: Label | None = None
    country: Country | None = None
    placed_s: Time | None = None
    rental_from_s: Time | None = None
    rental_until_s: Time | None = None


class Derogation(_Act, frozen=True, kw_only=True, tag="derogation"):
    """Until then this box is let in where it was moved or altered; dated back, no longer."""

    ROLE = "boxes"
    ABOUT = "box"
    box: Name
    until_s: Time

    @override
    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""
        if self.until_s - self.utc_s > LONGEST_DEROGATION_S:
            raise ValueError("a derogation ends within ninety days")


class Unlock(_Act, frozen=True, kw_only=True, tag="unlock"):
    """A card's attempts are whole again; `n` is how often that was so."""

    ROLE = "office"
    ABOUT = "card"
    card: Digest


class Device(_Act, frozen=True, kw_only=True, tag="device"):
    """The holder of this enrolment gets a device for one-time codes; an earlier one is void."""

    ROLE = "office"
    ABOUT = "enrolment"
    enrolment: Name


class EndSession(_Act, frozen=True, kw_only=True, tag="end-session"):
    """This session ends now."""

    ROLE = "boxes"
    ABOUT = "box session"
    box: Name
    session: Name


class Window(_Act, frozen=True, kw_only=True, tag="window"):
    """The centre's planned maintenance: for so long, leases may be lengthened without a card."""

    ROLE = "boxes"
    ABOUT = ""
    from_s: Time
    until_s: Time

    @override
    def check(self) -> None:
        """Raise ValueError for fields that can't be true together."""
        if not 0 < self.until_s - self.from_s <= MAX_WINDOW_S:
            raise ValueError("a window lasts ten minutes at most")


Act = (
    Holder
    | Card
    | Enrolment
    | Project
    | Grant
    | Order
    | Answers
    | Box
    | Derogation
    | Unlock
    | Device
    | EndSession
    | Window
)
ROLES: Final = frozenset({"office", "projects", "boxes"})
_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Act]] = msgspec.json.Decoder(Act)


def encode(act: Act) -> bytes:
    """The payload bytes."""
    return _encoder.encode(act)


def id_of(act: Act) -> bytes:
    """SHA-256 of what it says: what it is known by, whoever signed it, how often."""
    return hashlib.sha256(encode(act)).digest()


def parse(payload: bytes) -> Act:
    """Read a payload. Raises DecodeError for any other form than `encode`'s."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise DecodeError("act too large")
    try:
        act = _decoder.decode(payload)
    except (ValueError, RecursionError) as error:  # msgspec's and UTF-8's errors are ValueErrors
        raise DecodeError("act") from error
    if _encoder.encode(act) != payload:
        raise DecodeError("act not in its one form")
    return act


def is_motive(text: str) -> bool:
    """Whether this says why, in one line that can be shown as it is."""
    return len(text.strip()) > 0 and len(text) <= MAX_MOTIVE and text.isprintable()
