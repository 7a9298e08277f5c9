"""What a killed rig leaves behind is swept up, and nothing else."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from hil import scratch


@pytest.fixture
def dead() -> int:
    """The pid of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def left(parent: Path, name: str) -> Path:
    path = parent / name
    (path / "box/run").mkdir(parents=True)
    (path / "box/file").write_text("x")
    return path


def test_what_the_dead_left_goes_and_the_living_keep_theirs(tmp_path: Path, dead: int) -> None:
    gone = {left(tmp_path, f"sdbox-{kind}-{dead}-abcd_123").name for kind in ("rig", "pcscd")}
    kept = left(tmp_path, f"sdbox-rig-{os.getpid()}-abcd_123")
    assert set(scratch.swept(tmp_path)) == gone
    assert list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(
    "name",
    ["sdbox-rig-{}", "sdbox-rig-{}-abcd_123x", "sdbox-rig-0-abcd_123", "xsdbox-rig-{}-abcd_123",
     "sdbox-other-{}-abcd_123", "sdbox-rig--{}-abcd_123", "sdbox-rig-{}-ABCD_123"],
)  # fmt: skip
def test_no_other_name_is_touched(tmp_path: Path, dead: int, name: str) -> None:
    kept = left(tmp_path, name.format(dead))
    assert scratch.swept(tmp_path) == []
    assert (kept / "box/file").exists()


def test_links_are_no_directories_and_lead_nowhere(tmp_path: Path, dead: int) -> None:
    elsewhere = left(tmp_path, "elsewhere")
    link = tmp_path / f"sdbox-rig-{dead}-abcd_123"
    link.symlink_to(elsewhere)
    inside = left(tmp_path, f"sdbox-rig-{dead}-abcd_124")
    (inside / "link").symlink_to(elsewhere)
    (tmp_path / f"sdbox-rig-{dead}-abcd_125").write_text("a file")
    assert scratch.swept(tmp_path) == [inside.name]
    assert link.is_symlink()
    assert (elsewhere / "box/file").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="gives a directory away")
def test_another_users_directory_stays(tmp_path: Path, dead: int) -> None:
    kept = left(tmp_path, f"sdbox-rig-{dead}-abcd_123")
    os.chown(kept, 61999, 61999)
    assert scratch.swept(tmp_path) == []
    assert kept.exists()


def test_a_new_one_sweeps_first_and_can_itself_be_swept(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left(tmp_path, f"sdbox-rig-{dead}-abcd_123")
    new = scratch.made("rig")
    assert list(tmp_path.iterdir()) == [new]
    assert new.stat().st_mode & 0o777 == 0o755
    monkeypatch.setattr(scratch, "_is_alive", lambda pid: pid != os.getpid())
    assert scratch.swept(tmp_path) == [new.name]
    with pytest.raises(ValueError, match="swept"):
        scratch.made("other")


def test_a_tree_goes_though_its_owners_take_files_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = left(tmp_path, "tree")
    unlink = os.unlink

    def late(name: str, *, dir_fd: int) -> None:
        unlink(name, dir_fd=dir_fd)
        unlink(name, dir_fd=dir_fd)  # as if somebody else's came first

    monkeypatch.setattr(os, "unlink", late)
    scratch.removed(tree)
    assert not tree.exists()
    scratch.removed(tree)


def test_a_tree_goes_once_nobody_puts_files_into_it(tmp_path: Path) -> None:
    tree, stop = left(tmp_path, "tree"), threading.Event()

    def put() -> None:
        with contextlib.suppress(FileNotFoundError):  # gone
            while not stop.is_set():
                (tree / "box/new").write_text("")

    writer = threading.Thread(target=put)
    writer.start()
    threading.Timer(0.2, stop.set).start()
    scratch.removed(tree)
    writer.join()
    assert not tree.exists()


def test_what_stays_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = left(tmp_path, "tree")

    def refused(_name: str, *, dir_fd: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unlink", refused)
    with pytest.raises(PermissionError):
        scratch.removed(tree, patience_s=0)
