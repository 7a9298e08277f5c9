"""A desk, and blank cards on it. Not a module of tests."""

import dataclasses
import datetime as dt
import hashlib
import secrets
from collections.abc import Callable

from hil.card.card import PivCard
from hil.direct import Direct
from sdbox_agent.cardkind import Bit, CardKind
from sdbox_agent.errors import Refused
from sdbox_agent.pki import certificate, holder
from sdbox_centre.cardorder import Order, StoredFinger
from sdbox_centre.issuercard import PivIssuer
from sdbox_centre.matchbound import Codes
from sdbox_centre.personalise import Desk
from tests.pki import grown
from tests.pki.grown import GUID, NOW

MANAGEMENT_KEY = hashlib.sha256(b"test-management-key").digest()
END = NOW + dt.timedelta(days=4 * 365)
CODES = Codes(b"246810\xff\xff", b"87654321")
BITS = tuple(
    Bit(key=key, position=position, minimum=12, maximum=60, order=0x09)
    for key, position in (("96", 2), ("97", 7))
)


def minutiae(seed: str, count: int = 16) -> bytes:
    """A made-up finger: `count` minutiae in the compact card format, ascending by Y, then X."""
    drawn = hashlib.shake_128(seed.encode()).digest(4 * count)
    rows = [drawn[at : at + 4] for at in range(0, len(drawn), 4)]
    rows.sort(key=lambda row: (row[1], row[0]))
    return b"".join(bytes([x, y, (1 + kind % 2) << 6 | angle & 0x3F]) for x, y, kind, angle in rows)


REFERENCES = {bit.key: minutiae(f"test-finger-{bit.key}") for bit in BITS}


def touch(bit: Bit) -> bytes:
    """The enrolled finger again."""
    return REFERENCES[bit.key]


def order(kind: CardKind, enrolled: int = 1, **changes: object) -> Order:
    """A card for test-holder-01."""
    made = Order(
        kind=kind,
        guid=GUID,
        common_name="test-holder-01",
        end=END,
        fingers=tuple(
            StoredFinger(bit, REFERENCES[bit.key])
            for bit in (BITS[:enrolled] if kind.comparison == "card" else ())
        ),
        codes=CODES if (kind.comparison, kind.pin_policy) == ("host", "once") else None,
    )
    return dataclasses.replace(made, **changes)


def blank(kind: CardKind, **changes: object) -> PivCard:
    """A card as its maker delivers it."""
    policy = "never" if kind.comparison == "card" else kind.pin_policy
    arguments = {
        "factory": True,
        "admin_key": MANAGEMENT_KEY,
        "pin_policy": policy,
        "verify": kind.verify,
    }
    return PivCard.create(**arguments | changes)


def desk(connect: Callable[[], object], **changes: object) -> Desk:
    """The desk, with `connect` to what lies on it."""
    made = Desk(
        connect=connect,
        issuer=PivIssuer,
        management_key=MANAGEMENT_KEY,
        authority=grown.card_authority(),
        rng=secrets.token_bytes,
    )
    return dataclasses.replace(made, **changes)


def is_bound(certificate_der: bytes | None) -> bool:
    """Does a card's 9A certificate, if it has one, say that a finger alone opens it?"""
    return certificate_der is not None and holder.is_match_bound(certificate.load(certificate_der))


class Bench:
    """The reader on the desk: counts commands over all connections, and can tear the card away."""

    def __init__(self, card: PivCard) -> None:
        self.card = card
        self.commands: list[bytes] = []
        self.tear_at: int | None = None

    def connect(self) -> "Torn":
        return Torn(self)


class Torn(Direct):
    """One connection of the bench."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.card)
        self._bench = bench

    def exchange(self, frame: bytes | bytearray) -> bytes:
        bench = self._bench
        bench.commands.append(frame)
        reply = super().exchange(frame)
        if len(bench.commands) != bench.tear_at:
            return reply
        # The card has done it, and nobody hears of that. Torn before the next command is the same.
        self.close()
        raise Refused("card-removed")


class Lie(Direct):
    """A card that is honest but for one thing, which `answer` says instead of it."""

    def __init__(self, card, answer) -> None:
        super().__init__(card)
        self._answer = answer

    def exchange(self, frame: bytes | bytearray) -> bytes:
        honest = super().exchange(frame)
        told = self._answer(frame, honest)
        return honest if told is None else told


def head(frame: bytes, ins: int, p2: int, p1: int = 0) -> bool:
    return frame[1:4] == bytes([ins, p1, p2])
