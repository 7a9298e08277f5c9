"""The one record on disk: whole before or whole after, whatever happens in between.

A save is: write a new file, sync it, give it the name, sync the directory; only then is it so.
A missing, torn, altered or older file is `state-damaged`, and the box stays closed: it never
starts again from zero by itself (that would give attempts back).

Where there is a counter outside the disk (state/counter.py), the record carries where that stands
once the record is so. A save whose undoing would be worth something writes the file first, for one
step ahead, and then takes the step; until the step is taken nothing has come of it. So at a start

    record = counter       it is the newest
    record = counter + 1   the power went between the two: the step is taken now, nothing is lost
    record < counter       an older copy was put back: "state-rolled-back"
    record > counter + 1   the counter is not the one it was: "counter-lost"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.state import record

if TYPE_CHECKING:
    from msgspec import UnsetType

    from sdbox_agent.state.counter import Counter
    from sdbox_agent.state.filesystem import FileSystem
    from sdbox_agent.state.record import Known, State

NAME: Final = "state.json"
_NEW: Final = "state.json.new"


def create(files: FileSystem, counter: Counter | None = None, known: Known | None = None) -> Store:
    """The first record of a new box: provisioning's act, once. `counter` has been made.

    Raises Fault("state-damaged") if there is one already, Fault("disk-failed"), and the counter's.
    """
    try:
        files.size(NAME)
    except FileNotFoundError:
        anchor = UNSET if counter is None else counter.value()
        first = record.State(anchor=anchor, known=UNSET if known is None else known)
        store = Store(files, first, counter)
        store.save(first)
        return store
    except OSError:
        raise Fault("disk-failed") from None
    raise Fault("state-damaged")


def load(files: FileSystem, counter: Counter | None = None) -> Store:
    """The store as it stands.

    Raises Fault("state-damaged"), Fault("disk-failed"), Fault("state-rolled-back"),
    Fault("counter-lost"), and the counter's.
    """
    state = _read(files)
    _hold_against(state, counter)
    return Store(files, state, counter)


def _hold_against(state: State, counter: Counter | None) -> None:
    if counter is None:
        if state.anchor is not UNSET:
            raise Fault("counter-lost")
        return
    if state.anchor is UNSET:  # from before there was a counter
        raise Fault("state-rolled-back")
    value = counter.value()
    if state.anchor == value + 1:
        value = counter.advance()
    if state.anchor < value:
        raise Fault("state-rolled-back")
    if state.anchor > value:
        raise Fault("counter-lost")


def _read(files: FileSystem) -> State:
    try:
        return record.decode(files.read(NAME, record.MAX_RECORD_BYTES + 1))
    except (DecodeError, FileNotFoundError):
        raise Fault("state-damaged") from None
    except OSError:
        raise Fault("disk-failed") from None


class Store:
    """The record in memory, always as on disk or safer. Made by `create` or `load`."""

    def __init__(self, files: FileSystem, state: State, counter: Counter | None = None) -> None:
        self._files = files
        self._counter = counter
        self._stands = state.anchor or 0  # the counter, when it last said so
        self._stepping = False  # a step failed: it was taken or not
        self._unsure = False  # a save failed: the disk holds this record or that one
        self.state = state

    def save(self, state: State) -> None:
        """Make `state` the record, durably, or raise and keep the old one in memory.

        Raises Fault("disk-failed"), or the counter's: then the disk holds one of the two, whole.
        Raises Fault("state-damaged") if the file is no longer the one we wrote last,
        Fault("counter-lost") if somebody else has moved the counter.
        """
        if self.state.generation:
            self._check_unchanged()
        step = self._counter is not None and record.worse_if_undone(self.state, state)
        new = msgspec.structs.replace(
            state, generation=self.state.generation + 1, anchor=self._anchor_of_next(step=step)
        )
        data = record.encode(new)
        self._unsure = True
        try:
            self._files.write(_NEW, data)
            self._files.sync(_NEW)
            self._files.rename(_NEW, NAME)
            self._files.sync_directory()
        except OSError:
            raise Fault("disk-failed") from None
        if step:
            self._take_step(new)
        self._unsure = False
        self.state = new

    def _anchor_of_next(self, *, step: bool) -> int | UnsetType:
        """Where the counter will stand when the next record is so."""
        if self._counter is None:
            return UNSET
        if self._stepping:
            value = self._counter.value()
            if value - self._stands not in {0, 1}:
                raise Fault("counter-lost")
            self._stands, self._stepping = value, False
        return self._stands + step

    def _take_step(self, new: State) -> None:
        assert self._counter is not None
        self._stepping = True
        value = self._counter.advance()
        if value != new.anchor:
            raise Fault("counter-lost")
        self._stands, self._stepping = value, False

    def _check_unchanged(self) -> None:
        """An older copy put back under a running agent, or a second agent, is damage."""
        on_disk = _read(self._files)
        known = {self.state.generation} | ({self.state.generation + 1} if self._unsure else set())
        if on_disk.generation not in known:
            raise Fault("state-damaged")
