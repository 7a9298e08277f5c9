"""The service manager and the journal [door].

READY, STATUS, WATCHDOG and STOPPING for systemd; events for journald, each with a MESSAGE_ID of
its own (systemd/sdbox.catalog explains them to `journalctl -x`). Outside systemd, events go to
standard error, one line each, and notifications nowhere. Events are built from closed values:
a code, a session number, a level, a USB device's two numbers and its
port. There is no way to put a name, a certificate or a finger in one.
"""

from __future__ import annotations

import enum
import os
import re
import sys
import time
from pathlib import Path
from typing import Final

from systemd import daemon, journal

from sdbox_agent.errors import Bug
from sdbox_agent.terms import Level, SessionNumber

JOURNAL_SOCKET: Final = Path("/run/systemd/journal/socket")
_CODE: Final = re.compile(r"[a-z][a-z0-9-]{1,40}")
_USB_ID: Final = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
_USB_PORT: Final = re.compile(r"[0-9][0-9.-]{0,40}")  # Linux: bus-port.port…
_INFO: Final = 6
STATUS_CHARS: Final = 300  # what `systemctl status` is given of a line


@enum.unique
class Event(enum.Enum):
    """What the journal is told, and its MESSAGE_ID: drawn once, never changed."""

    STARTED = "f95877185a8b4abe92f1d3bc2c184a92"
    STOPPED = "ee51075956ae4e32ba48b527fa27c5e3"
    SESSION_OPENED = "9111e75051ba486e9f7f3d1f879ced37"
    SESSION_CLOSED = "fb7062c12eac467982bb696ee4de45f3"
    REFUSED = "c50c933d0b9045e9838461d2d59dcb99"
    FAULT = "6e8b10095e954849b125ba1c162d4ba8"
    BUG = "4e7c8556eab24a4695cf84bb5e332b7c"
    TUNNEL_NOT_DOWN = "62978bead1a74689ab92a13439112f19"
    DEVICE = "135bb3858d604b10b8194de06bc7f282"
    USB_REFUSED = "d9d08ca28b5e4511a114a8f43417109e"


def ready() -> None:
    """READY=1: the box is up and watches for cards."""
    _tell("READY=1")


def stopping() -> None:
    """STOPPING=1: no new session from here on."""
    _tell("STOPPING=1")


def status(text: str) -> None:
    """STATUS=: a plain line of ours for `systemctl status`, with nothing of a holder's in it."""
    _tell("STATUS=" + "".join(c if c.isprintable() else " " for c in text)[:STATUS_CHARS])


def alive() -> None:
    """WATCHDOG=1: to be sent by the loop that must not hang and by nothing else."""
    _tell("WATCHDOG=1")


def watchdog_interval_s() -> float | None:
    """How often `alive` must be told: half of what the manager allows; None if it does not ask.

    sd_watchdog_enabled(3): WATCHDOG_USEC, for the process WATCHDOG_PID if that is set.
    """
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if pid not in {None, "", str(os.getpid())} or not re.fullmatch("[1-9][0-9]{0,17}", usec):
        return None
    return int(usec) / 2_000_000


class Watchdog:
    """Keeps a loop alive that waits in a selector."""

    def __init__(self) -> None:
        self._interval_s = watchdog_interval_s()
        self._due_s = time.monotonic()

    def feed(self) -> float | None:
        """Tell, if it is time; how long to wait at most until the next time. None: nobody asks."""
        if self._interval_s is None:
            return None
        now_s = time.monotonic()
        if now_s >= self._due_s:
            alive()
            self._due_s = now_s + self._interval_s
        return self._due_s - now_s


def event(
    kind: Event,
    code: str,
    *,
    session: SessionNumber | None = None,
    level: Level | None = None,
    usb_id: str = "",
    usb_port: str = "",
) -> None:
    """Write one event to the journal, or to standard error where there is none."""
    if not _CODE.fullmatch(code):
        raise Bug("unforeseen")
    fields: dict[str, str] = {"SDBOX_EVENT": kind.name.lower(), "SDBOX_CODE": code}
    if session is not None:
        fields["SDBOX_SESSION"] = str(int(session))
    if level is not None:
        fields["SDBOX_LEVEL"] = Level(level).value
    for name, given, form in (("ID", usb_id, _USB_ID), ("PORT", usb_port, _USB_PORT)):
        if given:
            if not form.fullmatch(given):
                raise Bug("unforeseen")
            fields[f"SDBOX_USB_{name}"] = given
    text = " ".join([fields["SDBOX_EVENT"].replace("_", "-"), code, *_tail(fields)])
    if JOURNAL_SOCKET.exists():  # without it journal.send loses the event in silence
        journal.send(
            text,
            MESSAGE_ID=kind.value,
            PRIORITY=str(priority(kind)),
            SYSLOG_IDENTIFIER="sdbox-agent",
            **fields,
        )
    else:
        sys.stderr.write(f"<{priority(kind)}>sdbox-agent: {text}\n")
        sys.stderr.flush()


def priority(kind: Event) -> int:
    """Syslog priority of an event."""
    by_kind = {
        Event.REFUSED: 5,
        Event.USB_REFUSED: 5,
        Event.FAULT: 3,
        Event.BUG: 2,
        Event.TUNNEL_NOT_DOWN: 1,
    }
    return by_kind.get(kind, _INFO)


def _tail(fields: dict[str, str]) -> list[str]:
    names = (
        *(("session", "SDBOX_SESSION"), ("level", "SDBOX_LEVEL")),
        *(("usb", "SDBOX_USB_ID"), ("port", "SDBOX_USB_PORT")),
    )
    return [f"{word}={fields[name]}" for word, name in names if name in fields]


def _tell(message: str) -> None:
    """sd_notify(3); a manager that is gone is no reason to stop."""
    try:
        daemon.notify(message)
    except OSError:
        sys.stderr.write("<4>sdbox-agent: the service manager does not listen\n")
