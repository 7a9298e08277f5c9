"""A centre with a box and a card, grown anew for each test: real keys, certificates and database.

The gateway's interface is the double of its port; its judgement is the real one.
"""

import dataclasses
import datetime as dt
import hashlib
import itertools
import os
import time
from pathlib import Path

import msgspec
from cryptography import x509
from sqlalchemy import select

from hil.staff import Staff
from sdbox_agent.centre import wire
from sdbox_agent.statements import fields
from sdbox_agent.terms import Band, Level
from sdbox_centre import api, authority, tables
from sdbox_centre.cardrules import CardRules
from sdbox_centre.codes import Codes
from sdbox_centre.core import Centre
from sdbox_centre.engines import Database
from sdbox_centre.gateway import Clocks, Gateway
from sdbox_centre.gateway_wire import Remove
from sdbox_centre.peers import MemoryPeers, Peer
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.office import Office
from sdbox_centre.store import Store
from tests.sdbox_centre.listing import Listed as Book
from tests.sdbox_centre.parties import (
    LEVELS,
    PROJECT,
    SEALED,
    Box,
    Card,
    make_box,
    make_card,
    mirrored,
    spaced,
    statement,
)
from tests.sdbox_centre.staff.members import Members

# For tests that build their own:
_REEXPORTED = (Book, Clocks, MemoryPeers, Peer, os, hashlib, mirrored, spaced, statement)

CARRIER = "192.0.2.3:443"
LEASE_S = 60
CODES_KEY = b"k" * 32
YEAR_S = 365 * 86400


START = dt.datetime.now(dt.UTC)


class Deaf:
    """A gateway that no act reaches: in most tests it has lists of its own (listing.py)."""

    def act(self, statement: bytes) -> None:
        pass

    def remove(self, keys) -> None:
        pass


def as_written(_tx, asked):
    """Believes every row."""
    return [row for _, row in asked]


def all_but(unbelieved):
    """Believes every other kind of row."""
    return lambda _tx, asked: [None if kind == unbelieved else row for kind, row in asked]


class Believing(Acts):
    """Acts are entered as ever, and rows believed without any."""

    def proven(self, tx, asked):
        return as_written(tx, asked)


class Clock:
    """Both clocks of the centre, moved by the test."""

    def __init__(self) -> None:
        self.utc = int(time.time())
        self.mono = 1000.0

    def utc_s(self) -> int:
        return self.utc

    def mono_s(self) -> float:
        return self.mono

    def move(self, seconds: float) -> None:
        self.utc += int(seconds)
        self.mono += seconds


class Direct:
    """The calls without HTTP: what api.py makes of bodies and certificate, and nothing else.

    With a store of a second process's, calls go to the one and the other in turn.
    """

    def __init__(self, centre: Centre, box: Box, second: Store | None = None) -> None:
        self.centre, self.box = centre, box
        self.network: str | None = None  # where the box comes from, as the centre sees it
        self._stores = itertools.cycle([centre.store, second or centre.store])

    def call(self, name: str, request: wire.Request):
        kind = api.CALLS[name]
        body = wire.encode(request)
        digest = hashlib.sha256(name.encode() + body).digest()
        centre = dataclasses.replace(self.centre, store=next(self._stores))
        told = (api.SEEING[name], self.network) if name in api.SEEING else (kind.call,)
        call, *seen = told
        answer = call(centre, self.box.fingerprint, request, digest, *seen)
        return wire.decode(answer, kind.answer)

    def __getattr__(self, name: str):
        return lambda request: self.call(name, request)


class DirectGateway:
    """The gateway's judgement without its socket."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def install(self, request):
        return self.gateway.answer(request)

    def renew(self, request):
        return self.gateway.answer(request)

    def remove(self, keys):
        self.gateway.answer(Remove(keys=tuple(keys)))


class World:
    """Everything; files under `root`."""

    def __init__(self, root: Path, database: Database | None = None) -> None:
        self.database = database or root / "centre.db"
        self.root, self.clock = root, Clock()
        now = dt.datetime.fromtimestamp(self.clock.utc, dt.UTC)
        self.now = now
        self.cards = authority.authority("Test Card Authority", now)
        self.boxes = authority.authority("Test Box Authority", now)
        self.servers = authority.authority("Test Server Authority", now)
        self.card, self.box = make_card(self.cards, 1, now), make_box(self.boxes, 1, now)
        self.crl_number = 0
        (root / "anchors.pem").write_bytes(authority.pem_of(self.cards.certificate))
        self.publish_crl()
        self.store = Store(self.database)
        self.store.create()
        self.second = None if isinstance(self.database, Path) else Store(self.database)
        self.members = Members(root, START)
        self.acts = Acts(self.members.source(), self.clock.utc_s)
        self.staff = self.staff_on(self.store)
        self.office = self.staff.office
        self._gateway_files()
        (root / "carrier.pem").write_bytes(authority.pem_of(self.servers.certificate))
        self.peers = MemoryPeers(b"p" * 32)
        self.gateway = Gateway(
            self.rules(),
            Book(root / "boxes", root / "projects", (CARRIER, root / "carrier.pem")),
            lambda _project: self.peers,
            Clocks(self.clock.utc_s, self.clock.mono_s),
            os.urandom,
            LEASE_S,
        )
        self.centre = Centre(
            self.store,
            self.rules(),
            DirectGateway(self.gateway),
            wire.Policy(version=1),
            self.clock.utc_s,
            os.urandom,
            self.acts.proven,
            Codes(CODES_KEY),
        )
        self.admit(self.card, 1)
        self.add_box(self.box)

    def rules(self) -> CardRules:
        return CardRules(self.root / "anchors.pem", [self.root / "cards.crl"])

    def publish_crl(self, *revoked: int) -> None:
        self.crl_number += 1
        since = dict.fromkeys(revoked, self.now - dt.timedelta(minutes=1))
        new = self.root / "cards.crl.new"
        new.write_bytes(self.cards.crl(self.crl_number, self.now, since))
        new.replace(self.root / "cards.crl")

    def _gateway_files(self) -> None:
        (self.root / "boxes").mkdir()
        (self.root / "projects").mkdir()
        self.staff.add_project(PROJECT, "Test project 01", [Level.HOST_MATCH])
        self.write_project([self.card])

    def write_project(
        self, cards: list[Card], *levels: Level, pin_cards: tuple[Card, ...] = ()
    ) -> None:
        listed = ", ".join(f'"{card.name.hex()}"' for card in cards)
        by_pin = ", ".join(f'"{card.name.hex()}"' for card in pin_cards)
        accepted = ", ".join(f'"{level.value}"' for level in levels or (Level.HOST_MATCH,))
        (self.root / "projects" / f"{PROJECT}.toml").write_text(
            f"""levels = [{accepted}]
endpoint = "192.0.2.1:51820"
pools = ["10.77.0.0/29", "fd77::/64"]
interface = "sdboxvm1"
cards = [{listed}]
pin_cards = [{by_pin}]
"""
        )

    def add_box(self, box: Box) -> None:
        self.staff.add_box(box.name, box.tls_der, box.statement_der)
        pem = authority.pem_of(x509.load_der_x509_certificate(box.statement_der))
        (self.root / "boxes" / f"{box.name}.pem").write_bytes(pem)

    def admit(self, card: Card, number: int, sealed: bytes | None = SEALED) -> None:
        self.add_card(card, number)
        name, now_s = f"test-enrolment-{number:02}", self.clock.utc
        self.staff.add_enrolment(name, card.name, sealed, now_s - 60, now_s + 4 * YEAR_S)

    def add_card(self, card: Card, number: int) -> None:
        holder = f"test-holder-{number:02}"
        self.staff.add_holder(holder)
        self.staff.add_card(holder, card.certificates)
        self.staff.grant(holder, PROJECT)

    def admit_without_finger(self, card: Card, number: int, code: bool = True) -> str:
        """Enrolled by two, let in by the gateway; the otpauth URI of the person's device."""
        self.add_card(card, number)
        name = f"test-enrolment-{number:02}"
        self.staff.enrol_without_finger(name, card.name, self.clock.utc + YEAR_S)
        self.accept(Level.CARD_PIN)
        self.write_project([self.card], *LEVELS, pin_cards=(card,))
        return self.provision(name) if code else ""

    def provision(self, name: str) -> str:
        return self.staff.give_device(name)

    def accept(self, *levels: Level) -> None:
        """At the API: the project takes these too. The gateway's file is `write_project`'s."""
        self.staff.set_levels(PROJECT, (Level.HOST_MATCH, *levels))

    def staff_on(self, store: Store) -> Staff:
        """Two of staff, acting there."""
        office = Office(store, self.acts, Deaf(), self.clock.utc_s, os.urandom, Codes(CODES_KEY))
        first, second, _ = self.members.members
        return Staff(office, (first.signer, second.signer))

    def start_on(self, store: Store) -> None:
        """A centre that has read nothing yet, on this store."""
        self.store, self.second = store, None
        self.acts = Acts(self.members.source(), self.clock.utc_s)
        self.staff = self.staff_on(store)
        self.office = self.staff.office
        self.centre = dataclasses.replace(self.centre, store=store, proven=self.acts.proven)

    def believe_rows(self) -> None:
        """From now on, as if staff had signed whatever a test writes into the tables."""
        self.acts = Believing(self.members.source(), self.clock.utc_s)
        self.staff = self.staff_on(self.store)
        self.office = self.staff.office
        self.centre = dataclasses.replace(self.centre, proven=as_written)

    def talk(self, box: Box | None = None) -> Direct:
        return Direct(self.centre, box or self.box, self.second)

    def close(self) -> None:
        self.store.close()
        if self.second is not None:
            self.second.close()

    def trace(self) -> list[tuple[str, str]]:
        with self.store.begin() as tx:
            return [
                tuple(row) for row in tx.exec_driver_sql("SELECT act, code FROM trace ORDER BY seq")
            ]

    def stored(self) -> bytes:
        """Everything the database holds, to be searched; then it is closed."""
        with self.store.begin() as tx:
            rows = [
                row for table in tables.metadata.sorted_tables for row in tx.execute(select(table))
            ]
        self.close()
        files = [
            path.read_bytes() for path in self.root.glob("centre.db*")
        ]  # SQLite's: all there is
        return b"\0".join([*files, *(_raw(value) for row in rows for value in row)])


def _raw(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@dataclasses.dataclass
class Session:
    """A session played with a client (Direct or the real one), step by step."""

    world: World
    client: object
    box: Box
    card: Card
    name: str

    challenge: bytes = b""
    receipt_sha256: bytes = b""
    n: int = 0

    def hello(self) -> None:
        self.challenge = self.client.hello(self.box.hello(self.name)).challenge

    def prove(self):
        answer = self.client.proof(self.box.proof(self.card, self.name, self.challenge))
        self.challenge = answer.challenge
        return answer

    def attempt(self, otp: str | None = None):
        request = wire.AttemptRequest(session=self.name, challenge=self.challenge, otp=otp)
        answer = self.client.attempt(request)
        self.challenge = answer.challenge
        return answer

    def receipt_request(self, **changed) -> wire.ReceiptRequest:
        said = self.box.receipt_of(self.name, self.challenge, 1, self.world.clock.utc, changed)
        self.receipt_sha256 = fields.digest(said)
        return self.box.receipt(self.card, said)

    def receipt(self, band: Band | None = None, **changed):
        said = self.receipt_request(**changed)
        answer = self.client.receipt(msgspec.structs.replace(said, session=self.name, band=band))
        self.challenge = answer.challenge
        return answer

    def renew(self):
        self.n += 1
        answer = self.client.renew(self.box.renew(self.card, self.name, self.challenge, self.n))
        self.challenge = answer.challenge
        return answer

    def end(self, code: str = "card-removed"):
        return self.client.end(wire.EndRequest(session=self.name, code=code))

    def to_open(self, band: Band | None = None):
        self.hello()
        self.prove()
        self.attempt()
        return self.receipt(band)


def session(world: World, n: int = 1, box: Box | None = None, card: Card | None = None) -> Session:
    box, card = box or world.box, card or world.card
    return Session(world, world.talk(box), box, card, f"{box.boot_id}-{n}")
