from pathlib import Path

import numpy as np
import pytest

from hil.finger import cache, master
from hil.finger.master import Master
from hil.finger.orientation import WIDE


@pytest.fixture
def planted(tmp_path: Path, finger: Master, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts growths, and makes them cheap."""
    grown: list[int] = []

    def grow(seed: int, kind: object = None, variety: object = None) -> Master:
        grown.append(seed)
        return finger

    monkeypatch.setattr(master, "grow", grow)
    return grown


def _same(one: Master, two: Master) -> bool:
    return (
        one.ridges.tobytes() == two.ridges.tobytes()
        and one.skin.tobytes() == two.skin.tobytes()
        and (one.seed, one.kind, one.points) == (two.seed, two.kind, two.points)
    )


def test_a_kept_finger_is_the_grown_one(tmp_path: Path, finger: Master, planted: list[int]) -> None:
    first = cache.master(1, folder=tmp_path)
    second = cache.master(1, folder=tmp_path)
    assert planted == [1]
    assert _same(first, finger)
    assert _same(second, finger)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", ["torn", "empty", "garbage", "other shape"])
def test_a_damaged_file_is_grown_anew(
    damage: str, tmp_path: Path, finger: Master, planted: list[int]
) -> None:
    cache.master(1, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "other shape":
        none = np.zeros((0, 2))
        with path.open("wb") as file:
            np.savez(
                file, planes=np.zeros((2, 3, 3), np.uint8), cores=none, deltas=none, kind="arch"
            )
    else:
        path.write_bytes(
            {"torn": whole[: len(whole) // 2], "empty": b"", "garbage": b"x" * 99}[damage]
        )
    assert _same(cache.master(1, folder=tmp_path), finger)
    assert _same(cache.master(1, folder=tmp_path), finger)
    assert planted == [1, 1]


def test_fingers_of_another_variety_are_others(tmp_path: Path, planted: list[int]) -> None:
    cache.master(1, folder=tmp_path)
    cache.master(1, variety=WIDE, folder=tmp_path)
    assert planted == [1, 1]


def test_where_nothing_can_be_written_it_is_grown(
    tmp_path: Path, finger: Master, planted: list[int]
) -> None:
    folder = tmp_path / "file"
    folder.write_bytes(b"")
    assert _same(cache.master(1, folder=folder), finger)
    assert planted == [1]


def test_the_code_that_grows_is_part_of_the_key(
    tmp_path: Path, planted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.master(1, folder=tmp_path)
    monkeypatch.setattr(cache, "_code", lambda: "other")
    cache.master(1, folder=tmp_path)
    assert planted == [1, 1]
