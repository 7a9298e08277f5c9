"""A box that listens on its link, in a thread of the test."""

import contextlib
import threading

from sdbox_agent.centre import wire
from sdbox_agent.centre.eventstream import Message, Reader
from sdbox_agent.errors import SdboxError
from tests.sdbox_centre import tls
from tests.sdbox_centre.world import Box, World
from tests.waiting import PATIENCE_S, until


class Listening:
    """From `n` of `box` on; `got` are the messages, `ended` is why it is over."""

    def __init__(
        self, world: World, port: int, n: int, last: int | None = None, box: Box | None = None
    ) -> None:
        self.box = box or world.box
        self.client = tls.client(world, port, self.box)
        self.reader = Reader(last)
        self.got: list[Message] = []
        self.open = False
        self.ended: str | None = None
        self._thread = threading.Thread(target=self._listen, args=(self.box.link(n), last))
        self._thread.start()
        until(lambda: self.open or self.ended)

    def _listen(self, claim: wire.LinkRequest, last: int | None) -> None:
        try:
            self.client.listen(claim, last, self._heard)
        except SdboxError as error:
            self.ended = error.code

    def _heard(self, piece: bytes) -> bool:
        self.open = True
        got = self.reader.feed(piece)
        self.got += [message for message in got if message is not None]
        return bool(got)

    @property
    def kinds(self) -> list[str]:
        return [message.kind for message in self.got]

    def until_kinds(self, *kinds: str) -> None:
        until(lambda: len(self.got) >= len(kinds))
        assert tuple(self.kinds) == kinds

    def until_ended(self) -> str:
        code = until(lambda: self.ended)
        self._thread.join(PATIENCE_S)
        return code

    def close(self) -> None:
        self.client.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def listening(world: World, port: int, n: int, last: int | None = None, box: Box | None = None):
    one = Listening(world, port, n, last, box)
    try:
        yield one
    finally:
        one.close()
