"""Openings and closings under a flood of forbidden traffic, every frame judged.

`python -m hil.net.campaign [ROUNDS]`, JSON out; exit status 1 if one frame leaked. WireGuard is
granted from the word to the helper until its `tunnel_closed`, to the nanosecond, and at no other
time. Both namespaces are flooded: the box's by root with all that must not leave (forbidden), the
session's by an ordinary user with datagrams to the VM and past it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from hil.net.forbidden import BEGUN
from hil.net.oracle import Leaked, Oracle, Span, Tally
from hil.net.peer import VM4
from hil.net.process import Process, Unit
from hil.net.stand import standing
from hil.net.topology import CENTRE4, allowed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.net.stand import Core, Stand

ROUNDS: Final = 500
_GAP_US: Final = 300
_SESSION_GAP_US: Final = 500
_BEGIN_S: Final = 30.0
_END_S: Final = 10.0
_NOBODY: Final = 65534


@dataclass(frozen=True, slots=True)
class Found:
    """What a campaign found."""

    rounds: int
    tried: int  # attempts to send what must not leave
    frames_seen: int
    leaked_frames: int


def run(rounds: int) -> Found:
    """So many openings and closings."""
    tally = Tally()
    spans: list[Span] = []
    with standing() as stand:
        endpoints = allowed((stand.far.endpoint4, stand.far.endpoint6))
        with Oracle(stand.topology.cable, endpoints, lambda: spans, tally) as oracle:
            oracle.walled()
            with _flooded(stand) as forbidden:
                for _ in range(rounds):
                    _round(stand.core, spans)
                    with contextlib.suppress(Leaked):  # counted
                        oracle.ask()
                forbidden.kill(signal.SIGTERM)
                if not forbidden.wait(_END_S):
                    raise TimeoutError("the flood does not end")
        _, tried = (stand.root / "forbidden").read_text().splitlines()
    return Found(rounds, int(tried), tally.frames_seen, tally.leaked_frames)


def _round(core: Core, spans: list[Span]) -> None:
    start_ns = time.monotonic_ns()
    spans.append(Span(start_ns))
    core.open()
    core.close()
    spans[-1] = Span(start_ns, time.monotonic_ns())


@contextlib.contextmanager
def _flooded(stand: Stand) -> Iterator[Process]:
    """Both namespaces, for a while; yields the box's flood, which can tell how often it tried."""
    topology, root = stand.topology, stand.root
    with contextlib.ExitStack() as stack:
        argv = [sys.executable, "-m", "hil.net.forbidden", str(_GAP_US)]
        forbidden = Process(Unit(argv, topology.box, output=root / "forbidden"))
        stack.callback(forbidden.end)
        insiders = []
        for address in (VM4, CENTRE4):
            argv = [
                sys.executable,
                "-m",
                "hil.net.flood",
                address,
                "9",
                str(_SESSION_GAP_US),
                "3600",
            ]
            inside = Process(Unit(argv, topology.session, uid=_NOBODY, output=root / "flood"))
            stack.callback(inside.end)
            insiders.append(inside)
        _until_begun(root / "forbidden")
        yield forbidden
        if any(inside.wait(0) for inside in insiders):
            raise ChildProcessError("the session's flood has ended before its time")


def _until_begun(told: Path) -> None:
    end_s = time.monotonic() + _BEGIN_S
    while BEGUN not in told.read_text():
        if time.monotonic() > end_s:
            raise TimeoutError("the flood does not begin")
        time.sleep(0.01)


if __name__ == "__main__":
    found = run(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    print(json.dumps(asdict(found), indent=2))
    sys.exit(1 if found.leaked_frames else 0)
