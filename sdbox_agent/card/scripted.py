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
    """A card whose answer to each frame is `answer(frame)`: bytes, or an error to raise."""

    def __init__(self, answer: Callable[[bytes], bytes | SdboxError], *, t0: bool = False) -> None:
        self._answer = answer
        self._open = True
        self.t0 = t0
        self.frames: list[bytes] = []
        self.resets = 0

    def exchange(self, frame: bytes) -> bytes:
        """As `Channel.exchange`."""
        if not self._open:
            raise Refused("card-removed")
        self.frames.append(frame)
        reply = self._answer(frame)
        if isinstance(reply, SdboxError):
            self.close()
            raise reply
        return reply

    def close(self) -> None:
        """As `Channel.close`."""
        if self._open:
            self._open = False
            self.resets += 1
