"""A box's life under every cut: no attempt gained, nothing torn; cuts while it recovers from cuts.

`pytest -s` prints how many cut points there were: a disk each that the power's going may leave.
"""

import errno
import os
import re
import sys
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.state import store
from sdbox_agent.state.attempts import LIMIT
from sdbox_agent.state.model import ModelFileSystem
from tests.state.histories import CARD, LIFE, Box, Life, Seen, restarts, without_torn

WHOLE = bool(os.environ.get("FULL"))  # a third cut, in the recovery from the second
ROOT = Path(__file__).parents[2]

# Whoever makes, renames or syncs a file on a box, and where a cut in the midst of that is tried.
WRITERS = {
    "sdbox_agent/state/filesystem.py": "here: what the state and the record are written through",
    "sdbox_agent/state/store.py": "here",
    "sdbox_agent/profile/sets.py": "tests/profile/test_sets.py: before each of its calls",
    "sdbox_agent/provision/setup/tree.py": "tests/provision/setup/test_power_cuts.py",
    "sdbox_agent/identity/renewal.py": "tests/identity/test_renewal.py",
    "sdbox_agent/provision/setup/usbmachine.py": "no file: a setting of the kernel",
    "sdbox_agent/daemon/published.py": "no durable file: /run, verified by whoever reads it",
    "sdbox_agent/fingertool/files.py": "never on a box",
    "sdbox_agent/provision/session_sockets.py": "no file: a setting of the kernel",
}
WRITING = re.compile(r"\.(write_bytes|write_text|rename|fsync|fdatasync|mkstemp)\(|\bO_CREAT\b")


def test_every_cut_in_a_life_leaves_the_box_before_or_after_the_act() -> None:
    life = Life.play()
    assert all(a != b for a, b in zip(life.seen, life.seen[1:], strict=False)), "an act saves"
    once = twice = thrice = 0
    fresh: dict[object, tuple[int, ModelFileSystem]] = {}
    for done, disk in life.cuts():
        once += 1
        fresh.setdefault(tuple(disk.contents().items()), (done, disk))
        life.judge(done, ModelFileSystem.of(disk.contents()))
    for done, disk in fresh.values():
        standing = life.judge(done, ModelFileSystem.of(disk.contents()))
        for counted, again in restarts(disk):
            twice += 1
            recovered(standing, again, counted=counted)
            if WHOLE:
                for counted_too, last in restarts(again):
                    thrice += 1
                    recovered(
                        recovered(standing, again, counted=counted), last, counted=counted_too
                    )
    said = f"cut points: {once} in a life, {twice} in its recoveries, {thrice} in theirs"
    sys.stdout.write(f"\n{said}\n")
    assert once + twice >= 10_000


def recovered(before: Seen, disk: ModelFileSystem, *, counted: bool) -> Seen:
    """A start was cut: the boot is counted or not, and nothing else has changed."""
    copy = ModelFileSystem.of(disk.contents())
    Box(copy)
    found = Seen.on(copy)
    assert isinstance(found.state, dict)
    assert isinstance(before.state, dict)
    boots = found.state["boot_counter"] - before.state["boot_counter"]
    assert boots in ({1} if counted else {0, 1})
    assert found.state | {"boot_counter": 0} == before.state | {"boot_counter": 0}
    said = without_torn(before.codes)
    assert without_torn(found.codes) in (said, (*said, "started"))
    return found


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE], ids=errno.errorcode.get
)
def test_a_disk_that_fails_at_any_call_is_told_and_the_box_recovers(number: int) -> None:
    """Closed (no comparison runs), told (one Fault), recovered (as soon as the disk is)."""
    life, tried = Life.play(), 0
    while True:
        disk = ModelFileSystem()
        store.create(disk)
        box = Box(disk)
        failing = disk.calls + tried
        disk.fail = {failing: number}
        codes: list[str] = []
        for act in LIFE:
            try:
                act(box)
            except Fault as fault:
                codes.append(fault.code)
        if disk.calls <= failing:
            break
        tried += 1
        assert set(codes) == {"disk-failed"}, "no failure is passed over"
        assert box.attempts.left(CARD) <= LIMIT - box.compared
        after = ModelFileSystem.of(disk.contents())
        again = Box(after, clock_s=box.clock_s)  # the next start
        again.line("started")
        again.compare()
        left, compared = again.attempts.left(CARD), box.compared + again.compared
        assert left <= LIMIT - compared
        for possible in disk.after_cut():
            assert Box(possible).attempts.left(CARD) <= LIMIT - box.compared
    assert tried > 2 * len(LIFE)
    assert life.seen


def test_whoever_writes_a_file_is_known() -> None:
    modules = (ROOT / "sdbox_agent").rglob("*.py")
    found = {str(path.relative_to(ROOT)) for path in modules if WRITING.search(path.read_text())}
    assert found == WRITERS.keys()
