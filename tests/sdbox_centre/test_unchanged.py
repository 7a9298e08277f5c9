"""A file is read again as soon as it may be another one."""

import os
import time
from pathlib import Path

import pytest

from sdbox_centre import unchanged
from sdbox_centre.unchanged import Unchanged


class Reader:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self, path: Path) -> str:
        self.times += 1
        if not (text := path.read_text()):
            raise ValueError("empty")
        return text


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is older than young, as this machine's clock goes from here."""
    now_ns = time.time_ns() + 10 * unchanged.YOUNG_NS
    monkeypatch.setattr(unchanged.time, "time_ns", lambda: now_ns)
    (tmp_path / "file").write_text("one")
    return tmp_path / "file"


def test_the_same_file_is_read_once(old: Path) -> None:
    read = Reader()
    files = Unchanged(read)
    assert [files.of(old) for _ in range(3)] == ["one"] * 3
    assert read.times == 1


def test_another_one_in_its_place_is_read(old: Path) -> None:
    files = Unchanged(Reader())
    assert files.of(old) == "one"
    times = old.stat().st_mtime_ns
    (old.parent / "new").write_text("two")
    os.utime(old.parent / "new", ns=(times, times))  # as long, and as old
    (old.parent / "new").replace(old)
    assert files.of(old) == "two"
    old.unlink()
    with pytest.raises(FileNotFoundError):
        files.of(old)


def test_a_young_file_is_read_each_time(tmp_path: Path) -> None:
    """Two changes within one step of the kernel's clock look like one."""
    path, read = tmp_path / "file", Reader()
    files = Unchanged(read)
    for n in range(100):
        path.write_text(f"{n:03}")
        assert files.of(path) == f"{n:03}"
    assert read.times == 100


def test_what_can_not_be_read_is_not_kept(old: Path) -> None:
    read = Reader()
    files = Unchanged(read)
    old.write_text("")
    for _ in range(2):
        with pytest.raises(ValueError, match="empty"):
            files.of(old)
    assert read.times == 2


def test_no_more_is_kept_than_that(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "MAX_KEPT", 2)
    read = Reader()
    files = Unchanged(read)
    for n in range(10):
        (old.parent / str(n)).write_text("x")
        files.of(old.parent / str(n))
    assert len(files._kept) <= 2
