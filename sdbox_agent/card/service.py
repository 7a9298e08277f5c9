"""Who may ask what of the card, and when.

The core may open the card of an insertion it was told of, have the three statements signed, and
grant one unwrap, some comparisons and a PIN; the finger process may use the first two, the prompt
process the last. Everything else is refused here, before a byte goes to the card. Every answer
belongs to one session: what comes back after its end is dropped. Knows no socket, no thread and no
time: it is given `run` to do slow work elsewhere, and is called again, in its own thread, with what
came of it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent import ipc
from sdbox_agent.card import pin
from sdbox_agent.card.held import Held
from sdbox_agent.card.pinframe import Status
from sdbox_agent.card.presence import Insertion, Presence
from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.hardening import overwrite_freed
from sdbox_agent.statements import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.card.held import Send, SendPin
    from sdbox_agent.card.looks import Looks
    from sdbox_agent.card.token import Face, Token

    Work = Callable[[], ipc.Message]
    Run = Callable[[Work, Send], None]


@dataclass(frozen=True, slots=True)
class Means:
    """What the service is given: where slow work is done, and how a card is reached."""

    run: Run
    token: Callable[[Insertion], Token]


class Service:
    """The rules of the card worker."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._presence = Presence()
        self._core: Send | None = None
        self._watching = False
        self._session: Held | None = None
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

    def token_ended(self, insertion: int) -> None:
        """What speaks to that card for us, a maker's library, is gone: its session is over."""
        session = self._session
        if session is not None and session.insertion.number == insertion:
            self._refuse(session.n, "card-failed")
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
                self._grant(message.n, Held.grant_unwrap)
            case ipc.Statement():
                self._statement(message)
            case ipc.GrantCompare():
                self._grant(message.n, lambda held: held.grant_compare(message.comparisons))
            case ipc.GrantPin():
                self._grant_pin(message)
            case ipc.CloseCard():
                self._close(message)

    def from_finger(self, message: ipc.ToCardFromFinger, reply: Send) -> None:
        """One request of a finger process: what the core has granted, and nothing else."""
        held = self._of(message.n)
        if held is None or not _takes(held, message, reply):
            reply(ipc.Failed(n=message.n, code="not-allowed"))
            return
        match message:
            case ipc.Unwrap():
                work = _told(held.n, lambda: _unwrap(held, message))
                self._means.run(work, lambda answer: self._through(held, answer))
            case ipc.OnCardCompare():
                work = _told(held.n, lambda: _compare(held, message))
                self._means.run(work, lambda answer: self._through(held, answer))

    def _through(self, held: Held, answer: ipc.Message) -> None:
        """A key or a finger has gone through here: answer, and keep no copy for the session."""
        if isinstance(answer, ipc.Compared) and answer.match:
            held.matched = True
        held.answer_finger(answer)
        # One more turn, when nobody holds question or answer any more.
        self._means.run(lambda: ipc.CardClosed(n=held.n), lambda _: overwrite_freed())

    def from_prompt(self, n: int, field: bytearray, reply: SendPin, *, last: bool) -> None:
        """A PIN of the prompt process. `field` is ours from here on, and overwritten after use."""
        held = self._of(n)
        if held is None or not held.use_pin(reply):
            pin.wipe(field)
            reply(Status.NOT_NOW, None)
            return

        def work() -> ipc.Message:
            try:
                return _verified(held, held.token.verify_pin(field, last=last))
            finally:
                pin.wipe(field)

        self._means.run(_told(held.n, work), lambda answer: self._pin_given(held, answer))

    def _pin_given(self, held: Held, answer: ipc.Message) -> None:
        match answer:
            case ipc.PinEntered():
                held.pin_given = True
                held.answer_prompt(Status.ACCEPTED, None)
            case ipc.PinRefused(left=left):
                held.answer_prompt(Status.WRONG if left else Status.BLOCKED, left)
            case ipc.Failed(code="pin-last-try"):
                held.end_pin(sent=False)
                held.answer_prompt(Status.LAST_TRY, 1)
                return
            case _:
                held.answer_prompt(Status.NOT_NOW, None)
        held.end_pin(sent=True)
        self._answered(held, answer)

    # -- requests of the core --------------------------------------------------------------------

    def _open(self, message: ipc.OpenCard) -> None:
        if not self._watching or self._session is not None or message.n <= self._last_n:
            self._refuse(message.n, "not-allowed")
            return
        insertion = self._presence.find(message.insertion)
        if insertion is None:
            self._refuse(message.n, "card-removed")
            return
        held = Held(message.n, insertion, self._means.token(insertion))
        self._session, self._last_n = held, message.n
        faces: list[Face] = []

        def work() -> ipc.Message:
            faces.append(held.token.open(message.kinds))
            return _opened(held.n, faces[0])

        def done(answer: ipc.Message) -> None:
            if isinstance(answer, ipc.Opened):
                held.face = faces[0]
            self._answered(held, answer)

        self._means.run(_told(held.n, work), done)

    def _grant(self, n: int, grant: Callable[[Held], bool]) -> None:
        held = self._of(n)
        if held is None or not grant(held):
            self._refuse(n, "not-allowed")

    def _grant_pin(self, message: ipc.GrantPin) -> None:
        self._grant(message.n, Held.grant_pin)
        held = self._of(message.n)
        if held is None or held.face is None or not held.face.pad or not held.use_pin(None):
            return

        def work() -> ipc.Message:
            # The core has shown what is left; who stands at the pad has been told.
            return _verified(held, held.token.verify_pin(None, last=True))

        self._means.run(_told(held.n, work), lambda answer: self._pin_given(held, answer))

    def _statement(self, message: ipc.Statement) -> None:
        held = self._of(message.n)
        if held is None:
            self._refuse(message.n, "not-allowed")
            return
        try:
            statement = fields.parse(message.typ, bytes(message.fields))
        except DecodeError:
            self._refuse(message.n, "statement-invalid")
            return
        if not held.allows(statement, message.key):
            self._refuse(message.n, "not-allowed")
            return

        def work() -> ipc.Message:
            done = held.token.sign(statement, message.key)
            return ipc.Signed(
                n=held.n,
                typ=message.typ,
                payload=done.payload,
                protected=done.protected,
                signature=done.signature,
            )

        self._means.run(_told(held.n, work), lambda answer: self._answered(held, answer))

    def _close(self, message: ipc.CloseCard) -> None:
        if self._session is not None and self._session.n == message.n:
            self._end()
        core, n = self._core, message.n
        # Work is done in order, so this answer comes when the reset has been done.
        self._means.run(lambda: ipc.CardClosed(n=n), lambda done: self._tell_if(core, done))

    # -- helpers ---------------------------------------------------------------------------------

    def _of(self, n: int) -> Held | None:
        held = self._session
        return held if held is not None and held.n == n and held.face is not None else None

    def _answered(self, held: Held, answer: ipc.Message) -> None:
        if held is not self._session:
            return  # too late: that session is over
        self._tell(answer)
        if isinstance(answer, ipc.Failed):
            self._end()  # a card that failed once is not asked again

    def _end(self) -> None:
        held, self._session = self._session, None
        if held is None:
            return
        held.token.stop()
        held.answer_finger(ipc.Failed(n=held.n, code="card-removed"))
        held.answer_prompt(Status.NOT_NOW, None)

        def work() -> ipc.Message:
            held.token.close()
            overwrite_freed()  # a key went through here
            return ipc.CardClosed(n=held.n)

        self._means.run(work, lambda _: None)

    def _refuse(self, n: int, code: str) -> None:
        self._tell(ipc.Failed(n=n, code=code))

    def _tell(self, message: ipc.Message) -> None:
        if self._core is not None:
            self._core(message)

    def _tell_if(self, core: Send | None, message: ipc.Message) -> None:
        if core is self._core:
            self._tell(message)


def _takes(held: Held, message: ipc.ToCardFromFinger, reply: Send) -> bool:
    if isinstance(message, ipc.Unwrap):
        return held.use_unwrap(reply)
    return held.use_comparison(reply)


def _unwrap(held: Held, message: ipc.Unwrap) -> ipc.Message:
    return ipc.Unwrapped(n=held.n, key=held.token.unwrap(message.algorithm, message.blob))


def _compare(held: Held, message: ipc.OnCardCompare) -> ipc.Message:
    decision = held.token.compare(message.key, message.minutiae)
    return ipc.Compared(n=held.n, match=decision.match, left=decision.left)


def _verified(held: Held, left: int | None) -> ipc.Message:
    return ipc.PinEntered(n=held.n) if left is None else ipc.PinRefused(n=held.n, left=left)


def _opened(n: int, face: Face) -> ipc.Opened:
    return ipc.Opened(
        n=n,
        kind=face.kind.name,
        auth=face.certificates["9A"],
        key_management=face.certificates["9D"],
        card_auth=face.certificates["9E"],
        guid=face.guid,
        expires=face.expires,
        bits=face.bits,
        match_left=face.match_left,
        pin_left=face.pin_left,
        pad=face.pad,
    )


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
