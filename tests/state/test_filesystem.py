"""One contract for the real file system and its double; then what only the real one knows."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdbox_agent.state.filesystem import FileSystem, RealFileSystem
from sdbox_agent.state.model import ModelFileSystem


@pytest.fixture(params=["real", "model"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileSystem]:
    if request.param == "model":
        yield ModelFileSystem()
        return
    real = RealFileSystem(tmp_path)
    yield real
    real.close()


def test_what_is_written_is_read(files: FileSystem) -> None:
    files.write("a", b"hello")
    assert files.read("a", 100) == b"hello"
    assert files.read("a", 2) == b"he"
    assert files.read("a", 100, 3) == b"lo"
    assert files.size("a") == 5


def test_write_replaces_and_append_adds(files: FileSystem) -> None:
    files.write("a", b"long text")
    files.write("a", b"x")
    files.append("a", b"y")
    files.append("b", b"z")
    assert (files.read("a", 9), files.read("b", 9)) == (b"xy", b"z")


def test_truncate_cuts_and_append_goes_on_from_there(files: FileSystem) -> None:
    files.append("a", b"12345")
    files.truncate("a", 2)
    files.append("a", b"x")
    assert files.read("a", 9) == b"12x"


def test_rename_replaces_and_the_old_name_is_gone(files: FileSystem) -> None:
    files.append("new", b"2")
    files.append("a", b"1")
    files.sync("new")
    files.rename("new", "a")
    files.sync_directory()
    files.append("a", b"3")
    assert files.read("a", 9) == b"23"
    with pytest.raises(FileNotFoundError):
        files.size("new")


@pytest.mark.parametrize("call", ["read", "size", "sync", "rename"])
def test_a_missing_file_is_named_as_such(files: FileSystem, call: str) -> None:
    arguments = {"read": ("x", 1), "size": ("x",), "sync": ("x",), "rename": ("x", "y")}[call]
    with pytest.raises(FileNotFoundError):
        getattr(files, call)(*arguments)


def test_files_are_for_us_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        real = RealFileSystem(tmp_path)
        real.write("a", b"")
        real.append("b", b"")
        assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}
        real.close()
    finally:
        os.umask(previous)


def test_no_symlink_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "d").mkdir(mode=0o700)
    (tmp_path / "d/a").symlink_to(tmp_path / "secret")
    real = RealFileSystem(tmp_path / "d")
    for call in (lambda: real.read("a", 9), lambda: real.write("a", b"x"), lambda: real.sync("a")):
        with pytest.raises(OSError):
            call()
    real.close()
    (tmp_path / "link").symlink_to(tmp_path / "d")
    with pytest.raises(OSError):
        RealFileSystem(tmp_path / "link")
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_fifo_is_not_a_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    real = RealFileSystem(tmp_path)
    with pytest.raises(PermissionError):
        real.read("a", 1)
    with pytest.raises(OSError):
        real.write("a", b"x")
    real.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives away")
def test_a_partition_of_its_own_brings_lost_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost+found").mkdir(mode=0o700)
    os.chown(tmp_path, 61001, 61001)
    monkeypatch.setattr(os, "geteuid", lambda: 61001)
    with contextlib.closing(RealFileSystem(tmp_path)) as real:
        real.check()
        (tmp_path / "other").mkdir(mode=0o700)
        with pytest.raises(PermissionError, match="other: belongs to another user"):
            real.check()


def test_a_directory_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(PermissionError):
        RealFileSystem(tmp_path)


def _a_symlink(path: Path) -> None:
    path.symlink_to("elsewhere")


def _a_fifo(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _open_to_others(path: Path) -> None:
    path.write_bytes(b"x")
    path.chmod(0o620)


@pytest.mark.parametrize(
    ("spoil", "remedy"),
    [
        (_a_symlink, "a: a symlink: put the file itself there"),
        (_a_fifo, "a: neither file nor directory: remove it"),
        (_open_to_others, "a: others may write it: chmod go-w"),
    ],
)
def test_what_could_be_another_s_is_named_with_its_remedy(
    tmp_path: Path, spoil: Callable[[Path], None], remedy: str
) -> None:
    """Fault 61."""
    with contextlib.closing(RealFileSystem(tmp_path)) as real:
        real.write("b", b"ours")
        (tmp_path / "c").mkdir(mode=0o700)
        real.check()
        spoil(tmp_path / "a")
        with pytest.raises(PermissionError, match=f"^{remedy}$"):
            real.check()


def test_a_file_of_another_owner_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(RealFileSystem(tmp_path)) as real:
        real.write("a", b"ours")
        owner = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: owner)
        with pytest.raises(PermissionError, match=r"^a: belongs to another user: chown it"):
            real.check()


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    first, second = RealFileSystem(tmp_path), RealFileSystem(tmp_path)
    first.lock()
    with pytest.raises(BlockingIOError):
        second.lock()
    first.close()
    second.lock()
    second.close()


ON_A_SMALL_DISK = """
import errno, subprocess, sys
from pathlib import Path
from sdbox_agent.audit.outbox import Outbox
from sdbox_agent.errors import Fault
from sdbox_agent.state import store
from sdbox_agent.state.attempts import LIMIT, Attempts
from sdbox_agent.state.filesystem import RealFileSystem
here = Path(sys.argv[1])
def mount(options): subprocess.check_call(["mount", "-t", "tmpfs", "-o", options, "tmpfs", here])
def told(act):
    try:
        act()
    except Fault as fault:
        return fault.code
mount("size=64k,mode=700")
files = RealFileSystem(here)
counter, record = Attempts(store.create(files)), Outbox(files, "b1")
record.append("started", result="ok")
filler = here / "filler"
try:
    filler.write_bytes(bytes(1 << 20))
except OSError as error:
    assert error.errno == errno.ENOSPC
assert told(lambda: counter.reserve(b"c" * 32, 1)) == "disk-failed"
full = [told(lambda: record.append("card-inserted", result="ok")) for _ in range(100)]
assert full[-1] == "disk-failed"
filler.unlink()
assert counter.reserve(b"c" * 32, 1) == LIMIT - 1
record.append("card-inserted", result="ok")
files.close()
subprocess.check_call(["mount", "-o", "remount,ro", here])
files = RealFileSystem(here)
counter, record = Attempts(store.load(files)), Outbox(files, "b2")
assert told(lambda: counter.reserve(b"c" * 32, 2)) == "disk-failed"
assert told(lambda: record.append("started", result="ok")) == "disk-failed"
subprocess.check_call(["mount", "-o", "remount,rw", here])
assert counter.left(b"c" * 32) == LIMIT - 1
assert counter.reserve(b"c" * 32, 2) == LIMIT - 2
print(Outbox(files, "b3").head[0])
"""


@pytest.mark.rig
def test_a_real_disk_full_then_read_only_is_told_and_recovers(tmp_path: Path) -> None:
    """In a mount namespace of its own, which goes with the process."""
    command = ["unshare", "--mount", sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)]
    said = subprocess.check_output(command, cwd=Path(__file__).parents[2], text=True)
    assert int(said) >= 2
