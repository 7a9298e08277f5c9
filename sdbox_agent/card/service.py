"""Who may ask what of the card, and when.

The core may open the card of an insertion it was told of, have the three statements signed, and
allow one unwrap a session; the finger process may use that one. Everything else is refused here,
before a byte goes to the card. Every answer belongs to one session: what comes back after its end
is dropped. Knows no socket, no thread and no time: it is given `run` to do slow work elsewhere, and
is called again, in its own thread, with what came of it.
"""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sdbox_agent import ipc
from sdbox_agent.card.conversation import Conversation, Face
from sdbox_agent.card.presence import Insertion, Looks, Presence
from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.statements import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    Send = Callable[[ipc.Message], None]
    Work = Callable[[], ipc.Message]
    Run = Callable[[Work, Send], None]


class Link(Protocol):
    """What is needed of runner.Link: a channel that is connected later, and can be stopped."""

    @property
    def t0(self) -> bool:
        """As `Channel.t0`."""

    def connect(self) -> None:
        """Take the card."""

    def exchange(self, frame: bytes) -> bytes:
        """As `Channel.exchange`."""

    def stop(self) -> None:
        """The call in flight is the last."""

    def close(self) -> None:
        """As `Channel.close`."""


class _Unwrap(enum.Enum):
    NOT_GRANTED = enum.auto()
    GRANTED = enum.auto()
    USED = enum.auto()


@dataclass(slots=True, eq=False)
class _Session:
    n: int
    insertion: Insertion
    link: Link
    conversation: Conversation
    opened: bool = False
    unwrap: _Unwrap = _Unwrap.NOT_GRANTED
    waiting: Send | None = None  # the finger process, while its one unwrap runs


@dataclass(frozen=True, slots=True)
class Means:
    """What the service is given: where slow work is done, how a card is reached, and salt."""

    run: Run
    link: Callable[[Insertion], Link]
    rng: Callable[[int], bytes]


class Service:
    """The rules of the card worker."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._presence = Presence()
        self._core: Send | None = None
        self._watching = False
        self._session: _Session | None = None
        self._last_n = 0

    # -- what happens ----------------------------------------------------------------------------

    def core_came(self, send: Send) -> None:
        """A new core: what the last one had open is closed."""
        self.core_went()
        self._core = send

    def core_went(self) -> None:
        """Nobody is there to answer for a session."""
        self._end()
        self._core = None
        self._watching = False
        self._last_n = 0

    def readers(self, looks: Looks) -> None:
        """PC/SC has a new look at its readers. A removal is told before anything else is done."""
        for told in self._presence.update(looks):
            if self._watching:
                self._tell(told)
            session = self._session
            if (
                isinstance(told, ipc.Removed)
                and session
                and told.insertion == session.insertion.number
            ):
                self._end()

    def card_is_mute(self) -> None:
        """A call to the card has passed its deadline; the process is about to end."""
        session = self._session
        self._tell(ipc.Failed(n=session.n if session else self._last_n, code="card-mute"))
        self._end()

    def from_core(self, message: ipc.FromCore) -> None:
        """One message of the core."""
        match message:
            case ipc.Watch():
                self._watching = True
                for told in self._presence.report():
                    self._tell(told)
            case ipc.OpenCard():
                self._open(message)
            case ipc.GrantUnwrap():
                self._grant(message)
            case ipc.Statement():
                self._statement(message)
            case ipc.GrantCompare() | ipc.GrantPin():
                self._refuse(message.n, "not-allowed")
            case ipc.CloseCard():
                self._close(message)

    def from_finger(self, message: ipc.Unwrap, reply: Send) -> None:
        """One request of a finger process: the one unwrap that the core has granted."""
        session = self._session
        if (
            session is None
            or session.n != message.n
            or not session.opened
            or session.unwrap is not _Unwrap.GRANTED
        ):
            reply(ipc.Failed(n=message.n, code="not-allowed"))
            return
        session.unwrap = _Unwrap.USED
        session.waiting = reply

        def work() -> ipc.Message:
            key = session.conversation.unwrap(message.algorithm, message.blob)
            return ipc.Unwrapped(n=session.n, key=key)

        self._means.run(_told(session.n, work), lambda answer: _unwrapped(session, answer))

    # -- requests of the core --------------------------------------------------------------------

    def _open(self, message: ipc.OpenCard) -> None:
        if not self._watching or self._session is not None or message.n <= self._last_n:
            self._refuse(message.n, "not-allowed")
            return
        insertion = self._presence.find(message.insertion)
        if insertion is None:
            self._refuse(message.n, "card-removed")
            return
        link = self._means.link(insertion)
        session = _Session(message.n, insertion, link, Conversation(link, self._means.rng))
        self._session, self._last_n = session, message.n

        def work() -> ipc.Message:
            link.connect()
            kind = message.kinds[-1].name
            return self._opened(session.n, kind, session.conversation.open())

        self._ask(session, work)

    def _opened(self, n: int, kind: str, face: Face) -> ipc.Opened:
        return ipc.Opened(
            n=n,
            kind=kind,
            auth=face.holders["9A"].certificate_der,
            key_management=face.holders["9D"].certificate_der,
            card_auth=face.holders["9E"].certificate_der,
            guid=face.chuid.guid,
            expires=face.chuid.expires,
        )

    def _grant(self, message: ipc.GrantUnwrap) -> None:
        session = self._of(message.n)
        if session is None or session.unwrap is not _Unwrap.NOT_GRANTED:
            self._refuse(message.n, "not-allowed")
            return
        session.unwrap = _Unwrap.GRANTED

    def _statement(self, message: ipc.Statement) -> None:
        session = self._of(message.n)
        if session is None or (message.key == "9E" and message.typ != "proof"):
            self._refuse(message.n, "not-allowed")
            return
        try:
            statement = fields.parse(message.typ, bytes(message.fields))
        except DecodeError:
            self._refuse(message.n, "statement-invalid")
            return
        if not statement.session.endswith(f"-{session.n}"):  # session id: boot id, then n
            self._refuse(message.n, "not-allowed")
            return

        def work() -> ipc.Message:
            done = session.conversation.sign(statement, message.key)
            return ipc.Signed(
                n=session.n,
                typ=message.typ,
                payload=done.payload,
                protected=done.protected,
                signature=done.signature,
            )

        self._ask(session, work)

    def _close(self, message: ipc.CloseCard) -> None:
        if self._session is not None and self._session.n == message.n:
            self._end()
        core, n = self._core, message.n
        # Work is done in order, so this answer comes when the reset has been done.
        self._means.run(lambda: ipc.CardClosed(n=n), lambda done: self._tell_if(core, done))

    # -- helpers ---------------------------------------------------------------------------------

    def _of(self, n: int) -> _Session | None:
        session = self._session
        return session if session is not None and session.n == n and session.opened else None

    def _ask(self, session: _Session, work: Work) -> None:
        self._means.run(_told(session.n, work), lambda answer: self._answered(session, answer))

    def _answered(self, session: _Session, answer: ipc.Message) -> None:
        if session is not self._session:
            return  # too late: that session is over
        if isinstance(answer, ipc.Opened):
            session.opened = True
        self._tell(answer)
        if isinstance(answer, ipc.Failed):
            self._end()  # a card that failed once is not asked again

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        session.link.stop()
        if session.waiting is not None:
            _unwrapped(session, ipc.Failed(n=session.n, code="card-removed"))

        def work() -> ipc.Message:
            session.conversation.close()
            return ipc.CardClosed(n=session.n)

        self._means.run(work, lambda _: None)

    def _refuse(self, n: int, code: str) -> None:
        self._tell(ipc.Failed(n=n, code=code))

    def _tell(self, message: ipc.Message) -> None:
        if self._core is not None:
            self._core(message)

    def _tell_if(self, core: Send | None, message: ipc.Message) -> None:
        if core is self._core:
            self._tell(message)


def _unwrapped(session: _Session, answer: ipc.Message) -> None:
    """Answer the finger process, once."""
    reply, session.waiting = session.waiting, None
    if reply is not None:
        reply(answer)


def _told(n: int, work: Work) -> Work:
    """`work`, whose errors are told as messages: nothing may be raised in the card's thread."""

    def told() -> ipc.Message:
        try:
            return work()
        except SdboxError as error:
            return ipc.Failed(n=n, code=error.code)
        except Exception as error:  # noqa: BLE001  the thread must live, and the core must hear
            sys.stderr.write(f"card worker: unforeseen {type(error).__name__}\n")
            return ipc.Failed(n=n, code="unforeseen")

    return told
