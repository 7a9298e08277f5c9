"""A virtual card in a reader, and a library that speaks to it. Not a module of tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdbox_agent.card import pcsc
from sdbox_agent.card.pkcs11 import LibraryToken
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import SdboxError
from sdbox_agent.profile.schema import parse_kind
from tests.card.double import PivDouble, certificate_of, key
from tests.card.test_conversation import PROOF, RECEIPT, point_of
from tests.kinds import CARDS

pytest.importorskip("hil.pcscd")

from hil.card.card import PivCard
from hil.card.insertion import Exchange, Insertion
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from tests.card.test_pcsc import Seen

ROOT = Path(__file__).parents[2]
OPENSC = parse_kind((CARDS / "piv-pkcs11.toml").read_bytes()).kind
ALGORITHMS = ["P-256", "P-384", "RSA-2048", "RSA-3072"]
VERIFY, GENERAL_AUTHENTICATE = 0x20, 0x87
STATUS = bytes.fromhex("00200080")
SELECT = bytes.fromhex("00A404000BA000000308000010000100")


def pin(digits: bytes = b"123456") -> bytearray:
    return bytearray(digits.ljust(8, b"\xff"))


def scripted() -> ScriptedCard:
    """What PC/SC sees where the library's own token is a file."""
    return ScriptedCard(PivDouble(), atr=b"\x3b")


def times(log: list[Exchange], ins: int) -> int:
    """Commands with data and this INS; of a chain, the last (and no GET RESPONSE)."""
    return sum(one.ins == ins and one.cla == 0 and one.command_bytes > 4 for one in log)


def new_card(algorithm: str = "P-256", policy: str = "once", tries: int = 5) -> PivCard:
    names = ("9A", "9D")
    ready = {name: key(algorithm, name) for name in names} | {"9E": key("P-256", "9E")}
    card = PivCard.create(ready_keys=ready, pin_policy=policy, pin_tries=tries)
    card.install({name: certificate_of(public) for name, public in card.public_keys().items()})
    return card


@dataclass
class Desk:
    """A card in a reader, and the token that speaks to it."""

    slot: Slot
    seen: Seen
    insertion: Insertion | None = None
    events: int = 0
    made: list[LibraryToken] = field(default_factory=list)

    def put(self, card: PivCard, *faults: object) -> "Desk":
        self.insertion = self.slot.insert(card, faults)
        self.events = self.seen.events(self.slot)
        return self

    def connect(self) -> pcsc.Connection:
        return pcsc.Connection(self.slot.reader_name, self.events)

    def token(self, **options: object) -> LibraryToken:
        self.made.append(LibraryToken(self.connect, **options))  # type: ignore[arg-type]
        return self.made[-1]

    def opened(self, **options: object) -> LibraryToken:
        token = self.token(**options)
        token.open((OPENSC,))
        return token

    def logged_in(self, **options: object) -> LibraryToken:
        token = self.opened(**options)
        assert token.verify_pin(pin(), last=False) is None
        return token

    def pin_status(self) -> int:
        """What an empty VERIFY says: 9000 if a PIN is still good."""
        connection = self.connect()
        try:
            connection.exchange(SELECT)
            return int.from_bytes(connection.exchange(STATUS)[-2:])
        finally:
            connection.close()


@contextmanager
def at_desk() -> Iterator[Desk]:
    slot, seen = Pcscd.shared().reader(0), None
    try:
        seen = Seen(pcsc)
        seen.gone(slot)
        made = Desk(slot, seen)
        yield made
        for token in made.made:
            token.close()
    finally:
        if seen:
            seen.watcher.stop()
        slot.remove()


def other(**values: object) -> CardKind:
    shown = {name: getattr(OPENSC, name) for name in OPENSC.__struct_fields__}
    return CardKind(**{**shown, **values})


def play(token: LibraryToken) -> str:
    try:
        token.open((OPENSC,))
        token.sign(PROOF, "9E")
        assert token.verify_pin(pin(), last=False) is None
        token.unwrap("ecdh", point_of(key("P-256", "other")))
        token.sign(RECEIPT, "9A")
    except SdboxError as error:
        return error.code
    finally:
        token.close()
    return "done"
