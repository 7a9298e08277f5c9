"""A pseudo-terminal held by a test: what stands on it, and a hand at its keyboard."""

import codecs
import contextlib
import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable, Iterator

from tests.console.reading import Glass
from tests.waiting import PATIENCE_S

TERM = {"TERM": "linux", "LANG": "C.UTF-8"}


class Desk:
    """The master's end; the program has `slave`."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.raw = b""
        self._unread = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.glass = Glass(max(columns, 1), max(rows, 1))

    def type(self, data: bytes) -> None:
        assert os.write(self.master, data) == len(data)

    def look(self, wait_s: float = 0.0) -> None:
        """Take what has been written; a sequence that is not yet whole waits for its end."""
        if not select.select([self.master], [], [], wait_s)[0]:
            return
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.master, 65536)
            self.raw += data
            self._unread += self._decoder.decode(data)
        whole = self._unread.rfind("\x1b[0m")
        if whole >= 0:
            self.glass.write(self._unread[: whole + 4])
            self._unread = self._unread[whole + 4 :]

    def until(self, so: Callable[[str], bool], within_s: float = PATIENCE_S) -> str:
        """The text on the glass, as soon as it is `so`."""
        end_s = time.monotonic() + within_s
        while not so(text := self.glass.text):
            assert time.monotonic() < end_s, "not seen; there stands:\n" + "\n".join(
                self.glass.lines
            )
            self.look(0.05)
        return text

    def sees(self, words: str, within_s: float = PATIENCE_S) -> str:
        return self.until(lambda text: words in text, within_s)

    def close(self) -> None:
        for descriptor in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.master = self.slave = -1


@contextlib.contextmanager
def desk(columns: int = 80, rows: int = 24) -> Iterator[Desk]:
    one = Desk(columns, rows)
    try:
        yield one
    finally:
        one.close()
