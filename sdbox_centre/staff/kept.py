"""The gateway's own copy of staff's acts: a file that is only ever added to [door].

One statement a line, in the order they came; read once, at the start. Each is verified before it is
kept, and again when it is read: by this process's own roster, whoever handed it over. What was kept
is never given up for less, so an old act does not come back, whatever the database says.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from sdbox_agent.errors import Fault, Refused
from sdbox_centre.staff import payload
from sdbox_centre.staff.ledger import Ledger, claimed

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_centre.staff.payload import Act
    from sdbox_centre.staff.roster import RosterSource

log = logging.getLogger("sdbox.gateway")


Newest = Callable[[str], "Act | None"]  # by subject


class KeptActs:
    """One process's file. Not safe in threads."""

    def __init__(self, file: Path, source: RosterSource, utc_s: Callable[[], int]) -> None:
        """Raises OSError; Fault: state-damaged."""
        self._file = file
        self._source = source
        self.utc_s = utc_s
        file.touch(mode=0o640)
        whole, end, _torn = file.read_bytes().rpartition(b"\n")  # of what was torn, nobody was told
        self._size = len(whole) + len(end)
        self._lines = whole.splitlines()
        try:
            self._ids = {payload.id_of(claimed(line)) for line in self._lines}
        except Refused:
            raise Fault("state-damaged") from None
        self._ledger: Ledger | None = None

    def keep(self, statement: bytes) -> str:
        """Verify and write down an act; one that is here already is. Its subject.

        Raises Refused as `Ledger.check_new`; Fault: disk-failed, config-invalid, crl-*.
        """
        act = claimed(statement)
        if payload.id_of(act) in self._ids:
            return act.subject
        ledger = self._current()
        signed = ledger.check_new(statement, self.utc_s())
        self._write(statement + b"\n")
        self._lines.append(statement)
        self._ids.add(signed.id)
        ledger.take(signed)
        return act.subject

    def newest(self) -> Newest:
        """The newest act on a subject, all of one moment. Raises Fault: config-invalid, crl-*."""
        ledger = self._current()

        def newest(subject: str) -> Act | None:
            signed = ledger.newest(subject)
            return None if signed is None else signed.act

        return newest

    def stamp(self) -> object:
        """Another one as soon as anything may be otherwise. Raises as `newest`."""
        return self._current(), len(self._lines)

    def _current(self) -> Ledger:
        roster = self._source.roster(self.utc_s())
        if self._ledger is None or self._ledger.roster is not roster:
            self._ledger = Ledger(roster)
            for line in self._lines:
                self._read(self._ledger, line)
        return self._ledger

    def _write(self, line: bytes) -> None:
        """After the last whole line: what was torn before is written over."""
        try:
            with self._file.open("r+b") as file:
                file.seek(self._size)
                file.truncate()
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise Fault("disk-failed") from error
        self._size += len(line)

    @staticmethod
    def _read(ledger: Ledger, line: bytes) -> None:
        try:
            ledger.take(ledger.check(line))
        except Refused as refusal:
            act = claimed(line)
            log.critical("an act on %s does not hold: %s", act.subject, refusal.code)
            ledger.pass_over(act.subject, act.n)
