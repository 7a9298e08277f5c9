from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hil.calibrate import decisions, people, real
from hil.finger import cache
from hil.finger.impression import impression
from sdbox_agent.biometrics import decision, quality
from sdbox_agent.biometrics.minutia import Minutia, Template

IMPRESSIONS = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of four fingers by its names; the files are empty."""
    one = tmp_path / "a_set"
    one.mkdir()
    for finger in (101, 102, 103, 110):
        for k in range(1, IMPRESSIONS + 1):
            (one / f"{finger}_{k}.png").write_bytes(b"")
    (one / "notes_1.png").write_bytes(b"")
    (tmp_path / "not_a_set").mkdir()
    return one


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template tells which impression it is; only those of the same finger are alike."""

    def template(path: Path) -> Template:
        finger, k = map(int, path.stem.split("_"))
        return Template((Minutia(finger, k, 0.0),))

    def fused(captures: tuple, references: list) -> float:
        assert not set(captures) & {view for _, view in references}
        return max((float(a[0] == b[0]) for a in captures for _, b in references), default=0.0)

    monkeypatch.setattr(real, "_template", template)
    monkeypatch.setattr(people, "prepare", lambda t: (t.minutiae[0].x_px, t.minutiae[0].y_px))
    monkeypatch.setattr(people, "DESK", lambda _: None)
    monkeypatch.setattr(people, "BOX", lambda _: None)
    monkeypatch.setattr(quality, "measure", lambda *_: quality.Measures(30, 20, 100.0, None))
    monkeypatch.setattr(decision, "fused", fused)


def test_sets_are_the_folders_with_impressions(folder: Path) -> None:
    assert real.sets(folder.parent) == [folder]


def test_every_pair_is_a_person_and_every_other_finger_a_stranger(
    folder: Path, marked: None
) -> None:
    found = real.decided(folder, keep=folder / "kept")
    who = found["impostor_who"]
    assert len(who) == real.ROTATIONS * 6 * 2  # pairs of four fingers, strangers to each
    assert all(len({a, b, c}) == 3 for a, b, c in who.tolist())
    assert (found["impostor"] == 0).all()
    assert found["genuine"].shape == (real.ROTATIONS * 4, people.CAPTURES)
    assert (found["genuine"] == 1).all()
    assert (found["refused"] == 0).all()


def test_fingers_of_different_sets_are_different_people(folder: Path, marked: None) -> None:
    one = real.decided(folder, keep=folder / "kept")
    impostor, genuine, refused, measures = real.joined([one, one])
    assert impostor.people == genuine[0].people == 8
    assert len(impostor) == 2 * len(one["impostor"])
    assert measures.tolist() == [[30, 100, 0]] * len(measures)
    assert len(refused) == 2 * len(one["refused"])


def test_scores_are_kept_by_code_and_files_and_nothing_else_is(
    folder: Path, marked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = folder / "kept"
    first = real.decided(folder, keep=keep)
    (kept_file,) = keep.rglob("*.npz")
    with np.load(kept_file) as stored:
        assert sorted(stored.files) == sorted(decisions.NAMES)
    monkeypatch.setattr(real, "_made", lambda _: pytest.fail("made again"))
    again = real.decided(folder, keep=keep)
    assert all(np.array_equal(first[name], again[name]) for name in decisions.NAMES)
    (folder / "101_1.png").write_bytes(b"another image")
    with pytest.raises(pytest.fail.Exception):
        real.decided(folder, keep=keep)


@pytest.mark.rig
def test_images_are_read_at_their_resolution(tmp_path: Path) -> None:
    touch = impression(cache.master(3), 1, quality="good").pixels
    large = Image.fromarray(touch).resize((touch.shape[1] * 6 // 5, touch.shape[0] * 6 // 5))
    Image.fromarray(touch).save(tmp_path / "1_1.png", dpi=(500, 500))
    large.save(tmp_path / "1_2.png", dpi=(600, 600))
    one, two = (real._template(tmp_path / f"1_{k}.png") for k in (1, 2))
    assert abs(len(one.minutiae) - len(two.minutiae)) <= 0.25 * len(one.minutiae)
    xy_one, xy_two = (np.array([(m.x_px, m.y_px) for m in t.minutiae]) for t in (one, two))
    nearest = np.hypot(*(xy_one[:, None] - xy_two[None]).transpose(2, 0, 1)).min(axis=1)
    assert np.median(nearest) < 3
