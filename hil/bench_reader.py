"""A second witness at the readers: `python -m hil.bench_reader`, a line each time PC/SC speaks.

`<CLOCK_REALTIME ns> <readers with a card in>`. In a process of its own, so that its clock is read
when PC/SC wakes it and not when a busy bench gets round to it. Ends with its standard input.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from sdbox_agent.card.pcsc import Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdbox_agent.card.looks import Looks


def _tell(looks: Looks) -> None:
    now_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    print(now_ns, sum(look.present for look in looks), flush=True)


class Witness:
    """That process, from `with` to its end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` says where pcscd is."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hil.bench_reader"],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._child.stdin is not None
        with contextlib.suppress(OSError):
            self._child.stdin.close()
        self._child.wait(5)
        assert self._child.stdout is not None
        self._child.stdout.close()

    def until(self, cards: int, after_ns: int) -> int:
        """CLOCK_REALTIME, in ns, of the first report after that time of so many cards."""
        assert self._child.stdout is not None
        for line in self._child.stdout:
            at_ns, present = map(int, line.split())
            if present == cards and at_ns > after_ns:
                return at_ns
        raise RuntimeError("the witness at the readers has ended")


if __name__ == "__main__":
    watcher = Watcher(_tell)
    sys.stdin.read()
    watcher.stop()
