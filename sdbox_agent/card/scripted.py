"""The double of a card, for tests: answers from a script, or from a function.

Keeps the contract of `channel.Channel`, which tests/card/contract.py checks on it and, in the rig,
on the real connection. Knows no PIV: whoever writes the script does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused, SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable


class ScriptedCard:
    """A card whose answer to each frame is `answer(frame)`: bytes, or an error to raise.

    `reader` answers for the reader, as (code, data) -> bytes; without it, it knows nothing.
    """

    def __init__(
        self,
        answer: Callable[[bytes], bytes | SdboxError],
        *,
        t0: bool = False,
        atr: bytes = b"",
        reader: Callable[[int, bytes], bytes | SdboxError] = lambda _code, _data: b"",
    ) -> None:
        self._answer = answer
        self._reader = reader
        self._open = True
        self._stopped = False
        self.t0 = t0
        self.atr = atr
        self.frames: list[bytes] = []
        self.sent: list[bytes | bytearray] = []  # the very objects, to see what became of them
        self.resets = 0

    def exchange(self, frame: bytes | bytearray) -> bytes:
        """As `Channel.exchange`."""
        self._check()
        self.frames.append(bytes(frame))
        self.sent.append(frame)
        return self._told(self._answer(bytes(frame)))

    def control(self, code: int, data: bytes, *, waits_s: float = 0.0) -> bytes:  # noqa: ARG002
        """As `Channel.control`."""
        self._check()
        return self._told(self._reader(code, data))

    def stop(self) -> None:
        """As `Channel.stop`."""
        self._stopped = True

    def close(self, parting: tuple[bytes, ...] = ()) -> None:
        """As `Channel.close`."""
        if self._open:
            for frame in parting:
                self.frames.append(frame)
                self._answer(frame)
            self._open = False
            self.resets += 1

    def _check(self) -> None:
        if not self._open or self._stopped:
            raise Refused("card-removed")

    def _told(self, reply: bytes | SdboxError) -> bytes:
        if isinstance(reply, SdboxError):
            self.close()
            raise reply
        return reply
