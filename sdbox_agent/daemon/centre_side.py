"""The centre's side: hello, proof, attempt, receipt, renewal, end."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sdbox_agent import __version__
from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.session import events as on

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.centre.https import CentreClient
    from sdbox_agent.daemon.calls import Calls
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.daemon.received import Received
    from sdbox_agent.session import effects as do
    from sdbox_agent.session.events import Card
    from sdbox_agent.state.attempts import Attempts

Answer = TypeVar("Answer")


class CentreSide:
    """Speaks to the centre for a session; the box's own counters go with it."""

    def __init__(
        self,
        context: Context,
        calls: Calls,
        attempts: Attempts,
        boot_counter: int,
        received: Received,
        greeted: Callable[[], None] = lambda: None,
    ) -> None:
        """`greeted`: is told that the centre has answered a hello, once all else of it is done."""
        self._received = received
        self._greeted = greeted
        self._context = context
        self._calls = calls
        self._attempts = attempts
        self._boot_counter = boot_counter

    def _ask(
        self, n: int, call: Callable[[CentreClient], Answer], answered: Callable[[Answer], None]
    ) -> None:
        self._calls.ask(
            call,
            lambda answer: self._context.guard(n, lambda: answered(answer)),
            lambda code: self._context.feed(on.Failed(n, code)),
        )

    def _hello(self, session: str | None) -> wire.HelloRequest:
        policy = self._context.policy
        return wire.HelloRequest(
            box=policy.box,
            session=session,
            boot_id=policy.boot_id,
            boot_counter=self._boot_counter,
            agent_version=__version__,
        )

    def hello_at_boot(self, done: Callable[[], None], failed: Callable[[str], None]) -> None:
        """Without a session: clock, wire version, policy version; two boxes of one name collide."""
        request = self._hello(None)

        def greeted(answer: wire.HelloAnswer) -> None:
            try:
                self._note(answer)
            except SdboxError as error:
                failed(error.code)
            else:
                done()
                self._greeted()

        self._calls.ask(lambda client: client.hello(request), greeted, failed)

    def hello(self, n: int) -> None:
        """-> Challenged."""
        request = self._hello(self._context.session(n))

        def greeted(answer: wire.HelloAnswer) -> None:
            self._note(answer)
            if answer.challenge is None:
                raise Fault("centre-answer-invalid")
            self._context.feed(on.Challenged(n, answer.challenge))
            self._greeted()

        self._ask(n, lambda client: client.hello(request), greeted)

    def _note(self, answer: wire.HelloAnswer) -> None:
        """Clock, wire and policy versions never go back; the wire's is one that we speak."""
        if not wire.WIRE_MIN <= answer.wire <= wire.WIRE_MAX:
            raise Refused("wire-unsupported")
        self._context.marks.hello(
            utc_s=answer.utc_s, wire=answer.wire, policy_version=answer.policy_version
        )

    def send_proof(self, effect: do.SendProof) -> None:
        """-> Admitted. The box's own count may be lower than the centre's: the least is shown."""
        n, card = effect.n, effect.card
        request = wire.ProofRequest(
            session=self._context.session(n),
            auth=card.auth,
            key_management=card.key_management,
            card_auth=card.card_auth,
            statement=effect.jws,
            levels=effect.levels,
        )

        def admitted(answer: wire.ProofAnswer) -> None:
            self._attempts.unlocked(_counted_as(card), answer.unlocks)
            left = self._attempts.lower(_counted_as(card), answer.attempts_left)
            self._received.admitted(n, answer)
            answer = msgspec.structs.replace(answer, attempts_left=left)
            self._context.feed(on.Admitted(n, answer))

        self._ask(n, lambda client: client.proof(request), admitted)

    def reserve(self, effect: do.ReserveAttempt) -> None:
        """Count on the box, durably; then at the centre -> AttemptReserved. Raises SdboxError."""
        n, card = effect.n, effect.card
        left = self._attempts.reserve(_counted_as(card), self._context.utc_s())
        request = wire.AttemptRequest(
            session=self._context.session(n), challenge=effect.challenge, otp=effect.code
        )

        def reserved(answer: wire.AttemptAnswer) -> None:
            least = min(left, self._attempts.lower(_counted_as(card), answer.left))
            reserved = (answer.attempt, least, answer.challenge, answer.code_right)
            self._context.feed(on.AttemptReserved(n, *reserved))

        self._ask(n, lambda client: client.attempt(request), reserved)

    def send_receipt(self, effect: do.SendReceipt) -> None:
        """-> Leased. An accepted receipt, and nothing else, gives the card its attempts back.

        Written once the tunnel has been asked for: until it is, the card has fewer, never more.
        """
        n, card = effect.n, effect.card
        request = wire.ReceiptRequest(
            session=self._context.session(n),
            statement=effect.jws,
            kem_key=effect.kem_key,
            band=effect.band,
        )

        def leased(answer: wire.ReceiptAnswer) -> None:
            self._context.feed(on.Leased(n, answer))
            self._attempts.accepted(_counted_as(card))

        self._ask(n, lambda client: client.receipt(request), leased)

    def send_renewal(self, n: int, statement: bytes) -> None:
        """-> Renewed."""
        request = wire.RenewRequest(session=self._context.session(n), statement=statement)

        def renewed(answer: wire.RenewAnswer) -> None:
            self._context.feed(on.Renewed(n, answer.lease_s, answer.challenge))

        self._ask(n, lambda client: client.renew(request), renewed)

    def tell_end(self, n: int, code: str) -> None:
        """No answer is waited for: at the gateway the lease ends by itself."""
        request = wire.EndRequest(session=self._context.session(n), code=code)
        self._calls.cut()
        self._calls.ask(lambda client: client.end(request), lambda _: None, lambda _: None)


def _counted_as(card: Card) -> bytes:
    """A card is counted by its 9A certificate."""
    return hashlib.sha256(card.auth).digest()
