"""The chip under the application: ISO/IEC 7816-4 command chaining, Le and GET RESPONSE.

Knows how long commands come and long answers go in pieces. Does not know what they mean. Holds what
lasts from power-on to reset; a reset is a new chip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from hil.card.apdu import Command, Refusal, Reply, Sw, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Set

# ISO/IEC 7816-4, 5.4.1: CLA of the first interindustry class.
CLA_PLAIN: Final = 0x00
CLA_CHAINED: Final = 0x10
CLA_SECURE: Final = frozenset({0x04, 0x08, 0x0C, 0x14, 0x18, 0x1C})
GET_RESPONSE: Final = 0xC0

# Ours: longer than any command a PIV card needs (RSA-3072's is 396 bytes).
CHAIN_MAX_BYTES: Final = 4096


class Application(Protocol):
    """What answers a whole command."""

    @property
    def chainable(self) -> Set[int]:
        """The instructions that may come in pieces."""

    def handle(self, command: Command) -> Reply:
        """Carry out one whole command; raises Refusal."""


class Chip:
    """One power-on: `transmit` takes a command APDU and gives a response APDU."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._chain: Command | None = None
        self._pending = b""
        # A declared fault may stand between chip and application.
        self.intercept: Callable[[Command, Callable[[Command], Reply]], Reply] = _straight

    def transmit(self, raw: bytes) -> bytes:
        """The response APDU to `raw`; every "no" of the card is a status word, not an exception."""
        try:
            command = parse(raw)
            return self._step(command).encode()
        except Refusal as refusal:
            # Whatever was begun or left over before a refused command is gone.
            self._chain = None
            self._pending = b""
            return Reply(sw=refusal.sw).encode()

    def _step(self, command: Command) -> Reply:
        if command.cla in CLA_SECURE:
            raise Refusal(Sw.SECURE_MESSAGING_NOT_SUPPORTED)
        if command.cla not in (CLA_PLAIN, CLA_CHAINED):
            raise Refusal(Sw.CLASS_NOT_SUPPORTED)
        if command.ins == GET_RESPONSE and command.cla == CLA_PLAIN:
            return self._get_response(command)
        self._pending = b""
        whole = self._join(command)
        if command.cla == CLA_CHAINED:
            self._chain = whole
            return Reply()
        self._chain = None
        reply = self.intercept(whole, self._application.handle)
        if reply.sw != Sw.OK:
            return reply
        return self._cut(reply.data, command.ne)

    def _join(self, command: Command) -> Command:
        """The chain so far with this command's data; a chain another command broke into is gone."""
        if command.cla == CLA_CHAINED and command.ins not in self._application.chainable:
            raise Refusal(Sw.CHAINING_NOT_SUPPORTED)
        before = self._chain
        kin = before is not None and (before.ins, before.p1p2) == (command.ins, command.p1p2)
        data = (before.data if before is not None and kin else b"") + command.data
        if len(data) > CHAIN_MAX_BYTES:
            raise Refusal(Sw.WRONG_LENGTH)
        return Command(CLA_PLAIN, command.ins, command.p1, command.p2, data, command.ne)

    def _get_response(self, command: Command) -> Reply:
        if command.p1p2 or command.data:
            raise Refusal(Sw.BAD_PARAMETERS)
        if not self._pending:
            raise Refusal(Sw.CONDITIONS_OF_USE)
        return self._cut(self._pending, command.ne)

    def _cut(self, data: bytes, ne: int) -> Reply:
        """At most `ne` bytes; 61XX says how many are left, 6100 that it is 256 or more."""
        given, self._pending = data[:ne], data[ne:]
        if not self._pending:
            return Reply(given)
        left = len(self._pending)
        return Reply(given, Sw.MORE | (left if left <= 0xFF else 0))


def _straight(command: Command, handle: Callable[[Command], Reply]) -> Reply:
    return handle(command)
