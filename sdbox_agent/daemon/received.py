"""What the centre handed to this box, written down by its hash: the other half of its receipt.

The centre traces each delivery with the same hash, so neither can say later that it was another.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sdbox_agent.centre import wire

if TYPE_CHECKING:
    from sdbox_agent.audit.outbox import Outbox
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.terms import Delivered


class Received:
    """Writes to the audit record; raises as it does."""

    def __init__(self, outbox: Outbox, context: Context) -> None:
        self._outbox = outbox
        self._context = context

    def lists(self, n: int | None, answer: wire.CrlsAnswer) -> None:
        """Revocation lists that this box did not have; None: no session had asked for them."""
        for crl_der in answer.crls:
            self._note(n, "list", crl_der)

    def admitted(self, n: int, answer: wire.ProofAnswer) -> None:
        """The policy, and the sealed reference if there is one."""
        self._note(n, "policy", wire.encode(answer.policy))
        if answer.reference is not None:
            self._note(n, "reference", answer.reference)

    def _note(self, n: int | None, what: Delivered, handed: bytes) -> None:
        self._outbox.append(
            f"received-{what}",
            result="ok",
            session=None if n is None else self._context.session(n),
            utc_s=self._context.known_utc_s(),
            sha256=hashlib.sha256(handed).hexdigest(),
        )
