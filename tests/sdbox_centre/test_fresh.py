import os
from pathlib import Path

import pytest

from sdbox_centre import fresh
from sdbox_centre.fresh import Fresh


class Reader:
    def __init__(self) -> None:
        self.read = 0
        self.fresh = Fresh(self._make)

    def _make(self, path: Path) -> str:
        self.read += 1
        return path.read_text()


@pytest.fixture
def settled(monkeypatch) -> None:
    """Files are long since written."""
    monkeypatch.setattr(fresh, "JUST_WRITTEN_NS", -(10**18))


@pytest.mark.usefixtures("settled")
def test_a_file_that_stays_the_same_is_read_once(tmp_path) -> None:
    one, reader = tmp_path / "one", Reader()
    one.write_text("first")
    assert [reader.fresh.of(one) for _ in range(3)] == ["first"] * 3
    assert reader.read == 1


@pytest.mark.usefixtures("settled")
def test_a_file_that_is_replaced_is_read_again(tmp_path) -> None:
    one, new, reader = tmp_path / "one", tmp_path / "new", Reader()
    one.write_text("first")
    reader.fresh.of(one)
    new.write_text("other")
    os.utime(new, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    new.replace(one)
    assert reader.fresh.of(one) == "other"
    one.unlink()
    with pytest.raises(FileNotFoundError):
        reader.fresh.of(one)


def test_a_file_just_written_is_not_kept(tmp_path) -> None:
    one, reader = tmp_path / "one", Reader()
    one.write_text("first")
    reader.fresh.of(one)
    reader.fresh.of(one)
    assert reader.read == 2


@pytest.mark.usefixtures("settled")
def test_what_is_kept_is_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fresh, "MAX_KEPT", 2)
    reader = Reader()
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
        reader.fresh.of(tmp_path / name)
    reader.fresh.of(tmp_path / "c")
    assert reader.read == 3
    reader.fresh.of(tmp_path / "a")
    assert reader.read == 4
