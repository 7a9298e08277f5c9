"""Who may ask what of the card, and when. The card is a double, the rules are real."""

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import ipc
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.looks import Look
from sdbox_agent.card.presence import Insertion
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.card.service import Means, Service
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.statements import fields, jws
from sdbox_centre.staff import payload
from tests import kinds
from tests.card.double import PivDouble
from tests.card.test_conversation import point_of
from tests.sdbox_centre.staff.members import unlock

KINDS = (kinds.FREE,)
IN = (Look("reader", True, 1),)
OUT = (Look("reader", False, 2),)
POINT = point_of(ec.generate_private_key(ec.SECP256R1()))


class Missing(ScriptedCard):
    """A card that can't be taken."""

    def __init__(self, error: Exception) -> None:
        super().__init__(lambda _: b"")
        self._error = error

    @property
    def atr(self) -> bytes:
        raise self._error

    @atr.setter
    def atr(self, _: bytes) -> None:
        pass


class Desk:
    """A service, what it told the core and finger process, and work that waits to be done."""

    def __init__(self, *, watching: bool = True) -> None:
        self.piv = PivDouble()
        self.missing: Exception | None = None
        self.kinds = KINDS
        self.reader: Callable = lambda _code, _data: b""
        self.links: list[ScriptedCard] = []
        self.work: list[tuple[Callable, Callable]] = []
        self.core: list[ipc.Message] = []
        self.finger: list[ipc.Message] = []
        self.service = Service(Means(self._put, self._token))
        self.service.core_came(self.core.append)
        if watching:
            self.service.from_core(ipc.Watch())

    def _put(self, work: Callable, deliver: Callable) -> None:
        self.work.append((work, deliver))

    def _token(self, insertion: Insertion) -> Conversation:
        card = ScriptedCard(self.piv, atr=self.piv.atr, reader=self.reader)
        if self.missing:
            card = Missing(self.missing)
        self.links.append(card)
        return Conversation(card, bytes)

    def run(self) -> None:
        """Do the work that waits, as the card's thread and then the loop would."""
        while self.work:
            work, deliver = self.work.pop(0)
            deliver(work())

    def tell(self, *messages: ipc.Message, run: bool = True) -> list[ipc.Message]:
        """Let the core say this, do the work, and return what it was told."""
        del self.core[:]
        for message in messages:
            self.service.from_core(message)
            if run:
                self.run()
        return self.core

    def opened(self, n: int = 7) -> "Desk":
        self.service.readers(IN)
        told = self.tell(ipc.OpenCard(n=n, insertion=1, kinds=self.kinds))
        assert [type(one) for one in told] == [ipc.Opened]
        return self

    def unwrap(self, n: int = 7, *, run: bool = True) -> list[ipc.Message]:
        del self.finger[:]
        request = ipc.Unwrap(n=n, algorithm="ecdh", blob=POINT)
        self.service.from_finger(request, self.finger.append)
        if run:
            self.run()
        return self.finger

    def authenticated(self) -> int:
        """How many times a key of a card was used."""
        return sum(frame[1] == 0x87 for link in self.links for frame in link.frames)


def failed(n: int, code: str) -> list[ipc.Message]:
    return [ipc.Failed(n=n, code=code)]


def statement(
    typ: str = "proof", key: str = "9E", session: str = "boot-7", n: int = 7, **more: object
) -> ipc.Statement:
    content: dict[str, object] = {"box": "test-box-01", "session": session, "challenge": bytes(32)}
    if typ == "receipt":
        content |= {
            "enrolment": "e",
            "attempt": 1,
            "level": "host-match",
            "project": "p",
            "wg_public_key": bytes(32),
            "kem_key_sha256": bytes(32),
            "utc_s": 1,
        }
    if typ == "renew":
        content |= {"n": 1}
    raw = msgspec.Raw(msgspec.json.encode(content | more))
    return ipc.Statement(n=n, typ=typ, fields=raw, key=key)


# -- readers -------------------------------------------------------------------------------------


def test_nothing_is_told_before_it_is_asked_for() -> None:
    desk = Desk(watching=False)
    desk.service.readers(IN)
    assert desk.core == []
    told = desk.tell(ipc.Watch())
    assert told == [
        ipc.Inserted(reader="reader", insertion=1),
        ipc.ReadersChanged(readers=("reader",)),
    ]
    desk.service.readers(OUT)
    assert desk.core[-1] == ipc.Removed(reader="reader", insertion=1)


def test_a_card_is_opened_only_by_the_number_it_was_told_by() -> None:
    desk = Desk()
    desk.service.readers(IN)
    assert desk.tell(ipc.OpenCard(n=7, insertion=2, kinds=KINDS)) == failed(7, "card-removed")
    assert desk.links == []
    desk.service.readers(OUT)
    assert desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS)) == failed(7, "card-removed")
    assert desk.links == []


def test_a_card_is_opened_only_by_a_core_that_watches() -> None:
    desk = Desk(watching=False)
    desk.service.readers(IN)
    assert desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS)) == failed(7, "not-allowed")


def test_opening_shows_what_is_on_the_card() -> None:
    desk = Desk().opened()
    [told] = desk.core
    assert isinstance(told, ipc.Opened)
    assert told.n == 7
    assert (told.auth, told.key_management, told.card_auth) == tuple(
        desk.piv.certificates[name] for name in ("9A", "9D", "9E")
    )
    assert (told.guid, told.expires) == (bytes(range(16)), "20300101")


def test_one_session_at_a_time_and_each_number_once() -> None:
    desk = Desk().opened()
    assert desk.tell(ipc.OpenCard(n=8, insertion=1, kinds=KINDS)) == failed(8, "not-allowed")
    assert desk.tell(ipc.CloseCard(n=7)) == [ipc.CardClosed(n=7)]
    for n in (7, 6, 0):
        assert desk.tell(ipc.OpenCard(n=n, insertion=1, kinds=KINDS)) == failed(n, "not-allowed")
    assert isinstance(desk.tell(ipc.OpenCard(n=8, insertion=1, kinds=KINDS))[0], ipc.Opened)


@pytest.mark.parametrize("error", [Refused("card-removed"), Fault("reader-missing")])
def test_a_card_that_can_not_be_opened_is_let_go(error: Exception) -> None:
    desk = Desk()
    desk.missing = error
    desk.service.readers(IN)
    assert desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS)) == failed(7, str(error))
    assert desk.links[0].resets == 1
    assert desk.tell(statement()) == failed(7, "not-allowed")


def test_a_bug_in_the_card_thread_is_told_and_closes(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    desk.missing = ValueError("secret")
    desk.service.readers(IN)
    assert desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS)) == failed(7, "unforeseen")
    assert desk.links[0].resets == 1
    assert capsys.readouterr().err == "card worker: unforeseen ValueError\n"


# -- statements ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("typ", "key"), [("proof", "9E"), ("receipt", "9A"), ("renew", "9A")])
def test_the_three_statements_are_signed(typ: str, key: str) -> None:
    desk = Desk().opened()
    [told] = desk.tell(statement(typ, key))
    assert isinstance(told, ipc.Signed)
    message = jws.assemble(told.payload, [(told.protected, told.signature)])
    read = jws.open_statement(typ, message, [desk.piv.certificates[key]])
    assert fields.encode(read) == told.payload == bytes(statement(typ, key).fields)


@pytest.mark.parametrize("typ", ["receipt", "renew"])
def test_only_a_proof_is_signed_with_9e(typ: str) -> None:
    desk = Desk().opened()
    assert desk.tell(statement(typ, "9E")) == failed(7, "not-allowed")
    assert desk.authenticated() == 0


@pytest.mark.parametrize(
    "request_",
    [
        statement(sha256="x"),
        statement(challenge="AAAA"),
        statement(box="a box"),
        ipc.Statement(n=7, typ="proof", fields=msgspec.Raw(b"{}"), key="9E"),
        ipc.Statement(n=7, typ="renew", fields=statement("proof").fields, key="9A"),
        ipc.Statement(
            n=7, typ="proof", fields=msgspec.Raw(bytes(statement().fields) + b" "), key="9E"
        ),
        ipc.Statement(n=7, typ="proof", fields=msgspec.Raw(b'"' + b"A" * 44 + b'"'), key="9E"),
        *(
            ipc.Statement(n=7, typ=typ, fields=msgspec.Raw(payload.encode(unlock())), key="9A")
            for typ in ("staff", "proof", "receipt", "renew")
        ),
    ],
)
def test_what_is_no_statement_is_not_signed(request_: ipc.Statement) -> None:
    desk = Desk().opened()
    assert desk.tell(request_) == failed(7, "statement-invalid")
    assert desk.authenticated() == 0


@pytest.mark.parametrize("session", ["boot-8", "boot-17", "7", "boot-7x"])
def test_a_statement_names_its_own_session(session: str) -> None:
    desk = Desk().opened()
    assert desk.tell(statement(session=session)) == failed(7, "not-allowed")
    assert desk.authenticated() == 0


@pytest.mark.parametrize("n", [0, 6, 8])
def test_a_statement_of_another_session_number_is_refused(n: int) -> None:
    desk = Desk().opened()
    assert desk.tell(statement(n=n, session=f"boot-{n}")) == failed(n, "not-allowed")
    assert desk.authenticated() == 0


def test_no_statement_before_the_card_is_read() -> None:
    desk = Desk()
    desk.service.readers(IN)
    told = desk.tell(ipc.OpenCard(n=7, insertion=1, kinds=KINDS), statement(), run=False)
    assert told == failed(7, "not-allowed")


def test_a_card_that_refused_once_is_let_go() -> None:
    desk = Desk().opened()
    desk.piv.refuse[0x9A] = 0x6982
    assert desk.tell(statement("receipt", "9A")) == failed(7, "card-key-refused")
    assert desk.links[0].resets == 1
    desk.piv.refuse.clear()
    assert desk.tell(statement("receipt", "9A")) == failed(7, "not-allowed")
    assert desk.tell(ipc.CloseCard(n=7)) == [ipc.CardClosed(n=7)]


# -- unwrapping ----------------------------------------------------------------------------------


def test_a_granted_unwrap_is_done_once() -> None:
    desk = Desk().opened()
    assert desk.tell(ipc.GrantUnwrap(n=7)) == []
    [told] = desk.unwrap()
    assert isinstance(told, ipc.Unwrapped)
    assert (told.n, len(told.key)) == (7, 32)
    assert desk.core == [], "the core sees nothing of it"
    assert desk.unwrap() == failed(7, "not-allowed")
    assert desk.authenticated() == 1


def test_an_unwrap_without_grant_is_refused() -> None:
    desk = Desk()
    assert desk.unwrap() == failed(7, "not-allowed")
    desk.opened()
    assert desk.unwrap() == failed(7, "not-allowed")
    assert desk.authenticated() == 0


@pytest.mark.parametrize("n", [0, 6, 8])
def test_an_unwrap_in_another_session_number_is_refused(n: int) -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    assert desk.unwrap(n) == failed(n, "not-allowed")
    assert desk.authenticated() == 0
    assert isinstance(desk.unwrap(7)[0], ipc.Unwrapped), "and does not use the grant up"


def test_a_session_has_one_grant() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    assert desk.tell(ipc.GrantUnwrap(n=7)) == failed(7, "not-allowed")
    desk.unwrap()
    assert desk.tell(ipc.GrantUnwrap(n=7)) == failed(7, "not-allowed")
    assert desk.unwrap() == failed(7, "not-allowed")


def test_a_failed_unwrap_is_used_up_too() -> None:
    desk = Desk().opened()
    desk.tell(ipc.GrantUnwrap(n=7))
    desk.piv.refuse[0x9D] = 0x6982
    assert desk.unwrap() == failed(7, "reference-not-for-this-card")
    desk.piv.refuse.clear()
    assert desk.unwrap() == failed(7, "not-allowed")


def test_a_grant_ends_with_its_session() -> None:
    desk = Desk().opened()
    desk.tell(
        ipc.GrantUnwrap(n=7),
        ipc.CloseCard(n=7),
        ipc.OpenCard(n=8, insertion=1, kinds=KINDS),
    )
    for n in (7, 8):
        assert desk.unwrap(n) == failed(n, "not-allowed")


def test_a_grant_for_another_session_is_refused() -> None:
    desk = Desk().opened()
    for n in (0, 6, 8):
        assert desk.tell(ipc.GrantUnwrap(n=n)) == failed(n, "not-allowed")
    assert desk.unwrap() == failed(7, "not-allowed")
