"""The double forgets what a disk may forget: each known way of saving wrongly is caught by it."""

import errno
from collections.abc import Callable

import pytest

from sdbox_agent.state.filesystem import FileSystem
from sdbox_agent.state.model import MAX_PENDING_NAMES, ModelFileSystem, PowerCut

OLD, NEW = b"the old record, whole\n", b"the new one\n"
Save = Callable[[FileSystem], None]


def right(files: FileSystem) -> None:
    files.write("n", NEW)
    files.sync("n")
    files.rename("n", "a")
    files.sync_directory()


def in_place(files: FileSystem) -> None:
    files.write("a", NEW)
    files.sync("a")


def without_fsync(files: FileSystem) -> None:
    files.write("n", NEW)
    files.rename("n", "a")
    files.sync_directory()


def without_directory_fsync(files: FileSystem) -> None:
    files.write("n", NEW)
    files.sync("n")
    files.rename("n", "a")


def fsync_after_rename(files: FileSystem) -> None:
    files.write("n", NEW)
    files.rename("n", "a")
    files.sync("a")
    files.sync_directory()


def outcomes(save: Save) -> tuple[set[bytes | None], set[bytes | None]]:
    """What is found after a cut inside `save`, and after a cut when it had returned."""
    during: set[bytes | None] = set()
    disk = ModelFileSystem.of({"a": OLD})
    for cut_at in range(100):
        disk = ModelFileSystem.of({"a": OLD})
        disk.cut_at = cut_at
        try:
            save(disk)
        except PowerCut:
            during |= {after.contents().get("a") for after in disk.after_cut()}
        else:
            disk.cut_at = None
            break
    return during, {after.contents().get("a") for after in disk.after_cut()}


def test_the_right_way_leaves_old_or_new_and_new_once_it_returned() -> None:
    during, after = outcomes(right)
    assert during == {OLD, NEW}
    assert after == {NEW}


@pytest.mark.parametrize(
    "wrong", [in_place, without_fsync, without_directory_fsync, fsync_after_rename]
)
def test_each_wrong_way_is_found_out(wrong: Save) -> None:
    during, after = outcomes(wrong)
    assert not during <= {OLD, NEW} or after != {NEW}


def test_zeros_and_halves_are_among_what_a_cut_leaves() -> None:
    disk = ModelFileSystem.of({"a": OLD})
    disk.append("a", NEW)
    found = {after.contents()["a"] for after in disk.after_cut()}
    assert {OLD, OLD + NEW, OLD + NEW[:1], OLD + NEW[:-1], OLD + b"\0" * len(NEW)} <= found


def test_names_come_back_in_any_order() -> None:
    disk = ModelFileSystem()
    for name in ("a", "b"):
        disk.write(name, b"x")
        disk.sync(name)
    assert {tuple(after.contents()) for after in disk.after_cut()} == {
        (),
        ("a",),
        ("b",),
        ("a", "b"),
    }


def test_after_a_failed_fsync_no_later_one_can_be_believed() -> None:
    disk = ModelFileSystem.of({"a": OLD})
    disk.fail = {1: errno.EIO}
    disk.append("a", NEW)
    with pytest.raises(OSError):
        disk.sync("a")
    disk.sync("a")
    assert OLD in {after.contents()["a"] for after in disk.after_cut()}


def test_a_failed_write_has_done_half() -> None:
    disk = ModelFileSystem.of({"a": OLD})
    disk.fail = {0: errno.ENOSPC}
    with pytest.raises(OSError):
        disk.append("a", NEW)
    assert disk.contents()["a"] == OLD + NEW[: len(NEW) // 2]


def test_more_names_than_can_be_enumerated_are_an_error_not_a_lesser_check() -> None:
    disk = ModelFileSystem()
    for n in range(MAX_PENDING_NAMES + 1):
        disk.write(str(n), NEW)
    with pytest.raises(ValueError, match="too many names"):
        next(disk.after_cut())
