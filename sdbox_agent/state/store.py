"""The one record on disk: whole before or whole after, whatever happens in between.

A save is: write a new file, sync it, give it the name, sync the directory; only then is it so.
A missing, torn, altered or older file is `state-damaged`, and the box stays closed: it never
starts again from zero by itself (that would give attempts back). An older copy of the whole
directory, put back while nothing runs, can't be seen from here: the centre sees it, because the
boot counter of hello goes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.errors import DecodeError, Fault
from sdbox_agent.state import record

if TYPE_CHECKING:
    from sdbox_agent.state.filesystem import FileSystem
    from sdbox_agent.state.record import State

NAME: Final = "state.json"
_NEW: Final = "state.json.new"


def create(files: FileSystem) -> Store:
    """The first record of a new box: provisioning's act, once.

    Raises Fault("state-damaged") if there is one already, Fault("disk-failed").
    """
    try:
        files.size(NAME)
    except FileNotFoundError:
        store = Store(files, record.State())
        store.save(store.state)
        return store
    except OSError:
        raise Fault("disk-failed") from None
    raise Fault("state-damaged")


def load(files: FileSystem) -> Store:
    """The store as it stands. Raises Fault("state-damaged"), Fault("disk-failed")."""
    return Store(files, _read(files))


def _read(files: FileSystem) -> State:
    try:
        return record.decode(files.read(NAME, record.MAX_RECORD_BYTES + 1))
    except (DecodeError, FileNotFoundError):
        raise Fault("state-damaged") from None
    except OSError:
        raise Fault("disk-failed") from None


class Store:
    """The record in memory, always as on disk or safer. Made by `create` or `load`."""

    def __init__(self, files: FileSystem, state: State) -> None:
        self._files = files
        self._unsure = False  # a save failed: the disk holds this record or that one
        self.state = state

    def save(self, state: State) -> None:
        """Make `state` the record, durably, or raise and keep the old one in memory.

        Raises Fault("disk-failed"): then the disk holds one of the two, whole.
        Raises Fault("state-damaged") if the file is no longer the one we wrote last.
        """
        if self.state.generation:
            self._check_unchanged()
        new = msgspec.structs.replace(state, generation=self.state.generation + 1)
        data = record.encode(new)
        self._unsure = True
        try:
            self._files.write(_NEW, data)
            self._files.sync(_NEW)
            self._files.rename(_NEW, NAME)
            self._files.sync_directory()
        except OSError:
            raise Fault("disk-failed") from None
        self._unsure = False
        self.state = new

    def _check_unchanged(self) -> None:
        """An older copy put back under a running agent, or a second agent, is damage."""
        on_disk = _read(self._files)
        known = {self.state.generation} | ({self.state.generation + 1} if self._unsure else set())
        if on_disk.generation not in known:
            raise Fault("state-damaged")
