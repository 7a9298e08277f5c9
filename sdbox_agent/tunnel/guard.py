"""[door] A watch on the walls: rung at every change of any rule, anybody's, and able to look.

Does not know what to do about what it sees.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.tunnel import standing
from sdbox_agent.tunnel.kernel import NETLINK_NETFILTER, Bell, Netlink

if TYPE_CHECKING:
    from sdbox_agent.tunnel.netlink import Reply, Request
    from sdbox_agent.tunnel.standing import Standing

LOOKS: Final = 20  # while others change rules under our eyes


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last look saw, and the number of the last change before it."""

    generation: int
    words: tuple[bytes, ...]


class Guard:
    """Of the walls in this process's namespace. Needs CAP_NET_ADMIN."""

    def __init__(self) -> None:
        """Listen from now on. Raises OSError."""
        self.bell = Bell(NETLINK_NETFILTER, 1 << (standing.MULTICAST_GROUP - 1))
        self._kernel = Netlink(
            socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
            )
        )
        self._known: _Known | None = None

    def generation(self) -> int:
        """The number of the last change of any rule. Raises OSError, DecodeError."""
        return standing.generation(self._kernel.ask(standing.GENERATION))

    def look(self) -> Standing | None:
        """The walls as they are, or None where they don't stand. Raises Fault if nobody can tell.

        A look during which something changed is no look.
        """
        try:
            return self._look()
        except (OSError, DecodeError) as error:
            raise Fault("walls-missing") from error

    def words(self) -> tuple[bytes, ...]:
        """The rules of the walls. Raises Fault where they do not stand.

        They are read anew only if there has been a transaction since, of whomever: 0.1 ms, not 0.6.
        """
        if self._known is not None and self._known.generation == self._generation_or_none():
            return self._known.words
        found = self.look()
        if found is None:
            raise Fault("walls-missing")
        return found.words

    def _generation_or_none(self) -> int | None:
        try:
            return self.generation()
        except (OSError, DecodeError):
            return None  # a whole look says what is wrong

    def _look(self) -> Standing | None:
        self._known = None
        for _ in range(LOOKS):
            before = self.generation()
            found = standing.read(
                *map(self._dump, (standing.TABLES, standing.CHAINS, standing.RULES))
            )
            if self.generation() == before:
                self._known = None if found is None else _Known(before, found.words)
                return found
        raise Fault("walls-missing")

    def close(self) -> None:
        """Let go of both sockets."""
        self._kernel.close()
        self.bell.close()

    def _dump(self, requests: tuple[Request, ...]) -> list[Reply]:
        return [reply for request in requests for reply in self._kernel.dump(request)]
