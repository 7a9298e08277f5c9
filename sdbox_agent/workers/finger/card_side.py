"""The finger process towards the card: its questions to the card worker, and the sealed reference.

Each question is a connection of its own, and waits for the core too: one that cancels is heard.
"""

from __future__ import annotations

import math
import select
import time
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from sdbox_agent import ipc
from sdbox_agent.errors import Bug, DecodeError, Fault, Refused
from sdbox_agent.pki import cms, reference
from sdbox_agent.pki.holder import CardCertificates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Answer = TypeVar("Answer", ipc.Unwrapped, ipc.Compared)

# -- ours ----------------------------------------------------------------------------------------

CARD_S: Final = 10.0  # a question's deadline; the card worker's own for the card comes first
FAILURE_S: Final = (
    1.0  # a reference fails to open after this or a multiple of it, whatever the cause
)
# What the card worker answers for a blob that its card does not open, whatever the cause
OF_THE_MESSAGE: Final = frozenset({"reference-not-for-this-card", "reference-altered"})


class CardWorker:
    """Whom to ask about the card."""

    def __init__(
        self, path: Path, uid: int, interrupt_fd: int, interrupted: Callable[[], NoReturn]
    ) -> None:
        """`interrupted` is called, and raises, when `interrupt_fd` speaks during a question."""
        self._path = path
        self._uid = uid
        self._interrupt_fd = interrupt_fd
        self._interrupted = interrupted

    def ask(self, question: ipc.Unwrap | ipc.OnCardCompare, wanted: type[Answer]) -> Answer:
        """The answer to one question. The worker's refusals come through by their code.

        Raises Fault: card-worker-died, card-mute, or what the worker says; Bug: worker-protocol.
        """
        answer = self._answer(question)
        if answer.n != question.n:
            raise Bug("worker-protocol")
        if isinstance(answer, ipc.Failed):
            raise Fault(answer.code)  # only passed on: its class stands in errors.toml
        if not isinstance(answer, wanted):
            raise Bug("worker-protocol")
        return answer

    def wait(self, seconds: float) -> None:
        """Let time pass, unless the core ends it."""
        if select.select([self._interrupt_fd], [], [], seconds)[0]:
            self._interrupted()

    def _answer(self, question: ipc.Unwrap | ipc.OnCardCompare) -> ipc.ToFingerFromCard:
        try:
            card: ipc.Channel[ipc.ToFingerFromCard] = ipc.connect(
                self._path, ipc.ToFingerFromCard, self._uid, CARD_S
            )
        except OSError:
            raise Fault("card-worker-died") from None
        try:
            card.send(question)
            ready, _, _ = select.select([self._interrupt_fd, card.fileno()], [], [], CARD_S)
            if self._interrupt_fd in ready:
                self._interrupted()
            if not ready:
                raise Fault("card-mute")
            return card.receive()
        except OSError:  # ipc.Closed is one
            raise Fault("card-worker-died") from None
        finally:
            card.close()


def opened(request: ipc.PrepareFinger, worker: CardWorker) -> reference.OpenedReference:
    """The reference, unsealed with the card's help, its signature and binding checked.

    A message that does not open is told of only at whole multiples of FAILURE_S after the question
    to the card: the time that a failure takes could say why. One that opens is not held back.

    Raises Refused, Fault, Bug: as `ask`, and every reference-* code of pki.
    """
    try:
        sealed = cms.parse(request.sealed or b"")
    except DecodeError:
        raise Refused("reference-malformed") from None
    cms.check_recipient(sealed, request.key_management)
    question = ipc.Unwrap(n=request.n, algorithm=sealed.algorithm, blob=sealed.blob)
    start_s = time.monotonic()
    try:
        signed = cms.decrypt(sealed, _key(worker, question), request.key_management)
    except Refused:
        # A card's no comes sooner than its answer, and after an answer there is more for us to do.
        passed_s = time.monotonic() - start_s
        worker.wait(math.ceil(passed_s / FAILURE_S) * FAILURE_S - passed_s)
        raise
    card = CardCertificates(request.auth, request.key_management, request.card_auth)
    return reference.verify(
        signed, request.anchors, card, request.enrolment, request.utc_s, request.crls
    )


def _key(worker: CardWorker, question: ipc.Unwrap) -> bytes | None:
    """What the card made of it; None where it would not open it.

    That is not told apart from a message that has been altered: whoever writes to the centre's
    database could ask a card's key about blobs of his own, one at a time. What the worker says of
    itself (a card pulled out, mute) tells nothing of the message and comes through.
    """
    try:
        return worker.ask(question, ipc.Unwrapped).key
    except Fault as fault:
        if fault.code in OF_THE_MESSAGE:
            return None
        raise
