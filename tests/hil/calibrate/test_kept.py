from pathlib import Path

import numpy as np
import pytest

from hil.calibrate import kept

_ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((0, 2), np.uint8)}


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.npz"
    kept.write(path, _ARRAYS)
    found = kept.read(path, ("a", "b"))
    assert found is not None
    for name, array in _ARRAYS.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert [p.name for p in path.parent.iterdir()] == ["x.npz"]


@pytest.mark.parametrize("damage", ["torn", "empty", "garbage", "missing", "other names"])
def test_what_cannot_be_read_is_not_there(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.npz"
    kept.write(path, _ARRAYS)
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage != "other names":
        path.write_bytes(
            {"torn": whole[: len(whole) // 2], "empty": b"", "garbage": b"x" * 99}[damage]
        )
    assert kept.read(path, ("a",) if damage == "other names" else ("a", "b")) is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept.write(tmp_path / "file" / "x.npz", _ARRAYS)
    assert kept.read(tmp_path / "file" / "x.npz", ("a", "b")) is None
