"""What lies in the readers, what a card shows, and whether this box believes it [door: PC/SC].

For an operator at the box (`sdbox-agent card`). It speaks to the card as the card worker does, over
an exclusive connection that ends with a reset, and spends no try: counters are asked by an empty
VERIFY, and no key is used. The decision is pki.path's own, told step by step. What a card proves by
a signature, and what the centre knows of it, is not asked here.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003  msgspec reads it at run time
import hashlib
import secrets
import threading
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from sdbox_agent.card import pcsc
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.errors import Bug, DecodeError, Fault, SdboxError, error
from sdbox_agent.pki import certificate, holder, oids, path, revocation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.card.token import Face
    from sdbox_agent.cardkind import CardKind

CARD_S: Final = 10.0  # design section 5: card exchange; here for all of them together

POLICIES: Final = {
    oids.POLICY_AUTH: "9A",
    oids.POLICY_KEY_MANAGEMENT: "9D",
    oids.POLICY_CARD_AUTH: "9E",
    oids.POLICY_MATCH_BOUND: "match-bound",
    oids.POLICY_TEST: "test",
    oids.ANY_POLICY: "any",
}


class ReaderSeen(Struct, frozen=True, kw_only=True):
    """One reader; `atr` is empty where no card is in it."""

    reader: str
    present: bool
    atr: str
    events: int


class CertificateSeen(Struct, frozen=True, kw_only=True):
    """One certificate; `subject` is None where it can't be shown safely, dates where it is none."""

    key: str
    sha256: str
    subject: str | None = None
    not_before: str | None = None
    not_after: str | None = None
    algorithm: str | None = None
    policies: tuple[str, ...] = ()


class FingerSeen(Struct, frozen=True, kw_only=True):
    """One finger the card compares; 0 tries left is blocked."""

    key: str
    position: int
    left: int


class CardSeen(Struct, frozen=True, kw_only=True):
    """What the card shows to anybody. `pin_left`: None where it has no PIN; 0 is blocked."""

    reader: str
    atr: str
    kind: str
    guid: str | None
    expires: str | None
    pin_left: int | None
    fingers: tuple[FingerSeen, ...]
    certificates: tuple[CertificateSeen, ...]


class ListSeen(Struct, frozen=True, kw_only=True):
    """One revocation list of a card authority of ours."""

    issuer: str | None
    number: int
    age_s: int
    next_update: str
    revoked: int


class StepSeen(Struct, frozen=True, kw_only=True):
    """One step of the decision (pki.path.Step)."""

    step: str
    result: str
    code: str | None


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether this box would believe the card now, and by which lists."""

    believed: bool
    utc: str
    steps: tuple[StepSeen, ...]
    lists: tuple[ListSeen, ...]


class Believes(Struct, frozen=True, kw_only=True):
    """By what this box judges: DER authorities, the lists its core goes by, its clock, profile."""

    anchors: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    now: dt.datetime
    test_issuers: bool = False


def readers() -> tuple[ReaderSeen, ...]:
    """Every reader. Raises Fault("reader-missing") without a PC/SC service."""
    return tuple(
        ReaderSeen(reader=look.reader, present=look.present, atr=atr.hex(), events=look.events)
        for look, atr in pcsc.look_now()
    )


def choose(seen: Sequence[ReaderSeen], wanted: str | None) -> ReaderSeen:
    """The one reader with a card, or the one of that name, or of which that is a part.

    Raises Fault("reader-missing"), AskAgain("card-absent") without a card, and
    AskAgain("ambiguous-card") if several have one.
    """
    named = [one for one in seen if wanted is None or wanted in one.reader]
    exact = [one for one in named if one.reader == wanted] or named
    if not exact:
        raise Fault("reader-missing")
    full = [one for one in exact if one.present]
    if not full:
        raise error("card-absent")
    if len(full) > 1:
        raise error("ambiguous-card")
    return full[0]


def look(
    reader: ReaderSeen,
    kinds: tuple[CardKind, ...],
    connect: Callable[[str, int], Channel] = pcsc.Connection,
    patience_s: float = CARD_S,
) -> Face:
    """Read the card in a reader, then reset it. Raises as Token.open, and Fault("card-in-use").

    A card that answers nothing for `patience_s` is Fault("card-mute"): the thread that waits for
    it is left behind, and PC/SC resets the card when this process ends.
    """
    found: list[Face] = []
    failed: list[SdboxError] = []

    def read() -> None:
        try:
            conversation = Conversation(connect(reader.reader, reader.events), secrets.token_bytes)
            try:
                found.append(conversation.open(kinds))
            finally:
                conversation.close()
        except SdboxError as refusal:
            failed.append(refusal)

    thread = threading.Thread(target=read, name="card", daemon=True)
    thread.start()
    thread.join(patience_s)
    if thread.is_alive():
        raise Fault("card-mute")
    if failed:
        raise failed[0]
    if not found:
        raise Bug("unforeseen")  # its traceback has been printed by the thread
    return found[0]


def show(reader: ReaderSeen, face: Face) -> CardSeen:
    """What there is to see. Pure."""
    return CardSeen(
        reader=reader.reader,
        atr=reader.atr,
        kind=face.kind.name,
        guid=None if face.guid is None else face.guid.hex(),
        expires=face.expires,
        pin_left=face.pin_left,
        fingers=tuple(
            FingerSeen(key=bit.key, position=bit.position, left=left)
            for bit, left in zip(face.bits, face.match_left, strict=True)
        ),
        certificates=tuple(_certificate(key, der) for key, der in face.certificates.items()),
    )


def judge(face: Face, by: Believes) -> Verdict:
    """Whether this box would believe the card, step by step. Pure.

    The clock is this machine's, but never earlier than the newest list was made: set back, it
    revives nothing here either.
    """
    lists = [crl for crl in map(_read, by.crls) if crl is not None and _is_ours(crl, by.anchors)]
    moment = max([by.now, *(crl.this_update for crl in lists)])
    shown = path.Shown(
        holder.CardCertificates(*(face.certificates[key] for key in ("9A", "9D", "9E"))),
        face.expires,
        face.guid,
        compares=face.kind.compares(face.bits),
        pin_left=face.pin_left,
    )
    ders = tuple(crl.crl_der for crl in lists)
    rules = path.Rules(by.anchors, ders, moment, test_issuers=by.test_issuers)
    steps = path.examine(shown, rules)
    return Verdict(
        believed=all(step.result == "passed" for step in steps),
        utc=moment.isoformat(timespec="seconds"),
        steps=tuple(StepSeen(step=one.name, result=one.result, code=one.code) for one in steps),
        lists=tuple(_list(crl, moment) for crl in lists),
    )


def _certificate(key: str, der: bytes) -> CertificateSeen:
    digest = hashlib.sha256(der).hexdigest()
    try:
        one = certificate.load(der)
    except DecodeError:
        return CertificateSeen(key=key, sha256=digest)
    try:
        subject = holder.display_name(one)
    except DecodeError:
        subject = None
    return CertificateSeen(
        key=key,
        sha256=digest,
        subject=subject,
        not_before=one.not_valid_before_utc.isoformat(),
        not_after=one.not_valid_after_utc.isoformat(),
        algorithm=certificate.algorithm(certificate.supported(one.public_key())),
        policies=tuple(sorted(POLICIES.get(oid, oid) for oid in certificate.policies(one))),
    )


def _read(crl_der: bytes) -> revocation.Crl | None:
    try:
        return revocation.parse(crl_der)
    except DecodeError:
        return None


def _is_ours(crl: revocation.Crl, anchors: Sequence[bytes]) -> bool:
    try:
        revocation.authority_of(crl, anchors)
    except DecodeError:
        return False
    return True


def _list(crl: revocation.Crl, moment: dt.datetime) -> ListSeen:
    names = crl.issuer.rfc4514_string()
    return ListSeen(
        issuer=names if names.isprintable() else None,
        number=crl.number,
        age_s=int((moment - crl.this_update).total_seconds()),
        next_update=crl.next_update.isoformat(),
        revoked=len(crl.revoked),
    )
