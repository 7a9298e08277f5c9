"""One card held for one session: what the core has granted of it, and who waits for an answer.

Pure book-keeping: each question is answered once, and a grant that was used is used. What is done
with the card is the service's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent.statements import fields
from sdbox_agent.terms import Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent import ipc
    from sdbox_agent.card.pinframe import Status
    from sdbox_agent.card.presence import Insertion
    from sdbox_agent.card.token import Face, Token

    Send = Callable[[ipc.Message], None]
    SendPin = Callable[[Status, int | None], None]


class _Once(enum.Enum):
    NOT_GRANTED = enum.auto()
    GRANTED = enum.auto()
    USED = enum.auto()


class _Pin(enum.Enum):
    NOT_GRANTED = enum.auto()
    GRANTED = enum.auto()
    RUNNING = enum.auto()


@dataclass(slots=True, eq=False)
class Held:
    """A session's card. `face` is set once it has been opened."""

    n: int
    insertion: Insertion
    token: Token
    face: Face | None = None
    matched: bool = False  # the card said so, here
    pin_given: bool = False
    finger: Send | None = None  # the finger process, while its request runs
    prompt: SendPin | None = None  # the prompt process, while its PIN is on the card
    _unwrap: _Once = _Once.NOT_GRANTED
    _comparisons: int | None = None  # None: never granted
    _pin: _Pin = _Pin.NOT_GRANTED

    # -- the core grants -------------------------------------------------------------------------

    def grant_unwrap(self) -> bool:
        """One a session; False if it had it."""
        if self._unwrap is not _Once.NOT_GRANTED:
            return False
        self._unwrap = _Once.GRANTED
        return True

    def grant_compare(self, comparisons: int) -> bool:
        """So many a session, said once; False if that was said, or it holds no finger."""
        if self._comparisons is not None or self.face is None or not self.face.bits:
            return False
        self._comparisons = comparisons
        return True

    def grant_pin(self) -> bool:
        """One more PIN; False while one may be given or is being given, or where it has none."""
        if self._pin is not _Pin.NOT_GRANTED or self.pin_given:
            return False
        if self.face is None or self.face.pin_left is None:
            return False
        self._pin = _Pin.GRANTED
        return True

    # -- and others use --------------------------------------------------------------------------

    def use_unwrap(self, reply: Send) -> bool:
        """Take the one unwrap; `reply` waits for its answer. False if there is none to take."""
        if self._unwrap is not _Once.GRANTED or self.finger is not None:
            return False
        self._unwrap = _Once.USED
        self.finger = reply
        return True

    def use_comparison(self, reply: Send) -> bool:
        """Take one comparison; `reply` waits for its answer. False if there is none to take."""
        if not self._comparisons or self.finger is not None:
            return False
        self._comparisons -= 1
        self.finger = reply
        return True

    def use_pin(self, reply: SendPin | None) -> bool:
        """Take the PIN's grant; `reply` (none: the pad) waits. False if there is none to take."""
        if self._pin is not _Pin.GRANTED:
            return False
        self._pin = _Pin.RUNNING
        self.prompt = reply
        return True

    def end_pin(self, *, sent: bool) -> None:
        """The card has answered; a PIN that was never sent to it has not used the grant up."""
        self._pin = _Pin.NOT_GRANTED if sent else _Pin.GRANTED

    # -- answers, each once ----------------------------------------------------------------------

    def answer_finger(self, answer: ipc.Message) -> None:
        """Answer the finger process, if it still waits."""
        reply, self.finger = self.finger, None
        if reply is not None:
            reply(answer)

    def answer_prompt(self, status: Status, left: int | None) -> None:
        """Answer the prompt process, if it still waits."""
        reply, self.prompt = self.prompt, None
        if reply is not None:
            reply(status, left)

    # -- what may be signed ----------------------------------------------------------------------

    def allows(self, statement: fields.Statement, key: str) -> bool:
        """Whether this statement fits what happened here.

        The kind names the key of a proof; everything else is signed by 9A. A receipt says
        `card-match` only if this card said so on this connection, `card-pin` only if it took a PIN.
        """
        assert self.face is not None
        if not statement.session.endswith(f"-{self.n}"):  # session id: boot id, then n
            return False
        if isinstance(statement, fields.Proof):
            return key == self.face.kind.proof_key
        return key == "9A" and self._proved(statement)

    def _proved(self, statement: fields.Statement) -> bool:
        if not isinstance(statement, fields.Receipt):
            return True
        proofs = {Level.CARD_MATCH: self.matched, Level.CARD_PIN: self.pin_given}
        return proofs.get(statement.level, True)
