"""A program that has another one take its place, for test_reexec: `before MODE` and `after MODE`.

It has a child that dies with it, and says what the test asks for as one line of JSON.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

from sdbox_centre import reexec

TEXT = b"handed over"


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def say(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def before(mode: str) -> None:
    sleeper = subprocess.Popen(["sleep", "600"], preexec_fn=die_with_parent)  # noqa: PLW1509
    reading, writing = os.pipe()
    os.write(writing, b"through the pipe")
    say(sleeper.pid)
    if mode == "hangs":
        reexec.FUSE_S = 1
    command = [sys.executable, "-m", "tests.sdbox_centre.replaced", "after", mode]
    command += [str(os.getpid()), str(sleeper.pid), str(reading)]
    if mode == "fails":
        sys.executable = "/nonexistent"
    try:
        reexec.replace(TEXT, [reading], command)
    except FileNotFoundError:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        said = {"held": bool(reexec.HELD & mask), "alarm": signal.alarm(0)}
        said["inheritable"] = os.get_inheritable(reading)
        say(said)


def after(mode: str, pid: int, sleeper: int, reading: int) -> None:
    if mode == "hangs":
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGHUP)  # no handler yet: it waits
    text = reexec.received(100)
    reexec.keep([reading])
    came = []
    signal.signal(signal.SIGHUP, lambda *_: came.append("hup"))
    reexec.done()
    os.kill(sleeper, 0)
    said = {
        "text": text.decode(),
        "same": os.getpid() == pid,
        "pipe": os.read(reading, 100).decode(),
        "inheritable": os.get_inheritable(reading),
        "variable": reexec.VARIABLE in os.environ,
        "alarm": signal.alarm(0),
        "came": came,
    }
    say(said)


if __name__ == "__main__":
    if sys.argv[1] == "before":
        before(sys.argv[2])
    else:
        after(sys.argv[2], *map(int, sys.argv[3:]))
