"""Causes seen in an image, and images without a finger (fault 47)."""

import dataclasses
import functools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hil.finger.person import Person
from sdbox_agent import errors
from sdbox_agent.biometrics import touch
from sdbox_agent.biometrics.touch import Touch
from sdbox_agent.errors import AskAgain

SHAPE = (374, 388)
GLASS = 240
PERSONS = (Person(1), Person(2), Person(101), Person(202))


@functools.cache
def seen(quality: str) -> tuple[Touch, ...]:
    """Virtual fingers laid so: eight touches of four persons."""
    return tuple(
        touch.measure(person.touch(2, k, quality).pixels, 500) for person in PERSONS for k in (1, 2)
    )


def drawn(
    middle: tuple[float, float] = (187, 194),
    radius_px: float = 150,
    thickness: float = 0.0,
    period_px: float = 9.0,
    shape: tuple[int, int] = SHAPE,
) -> np.ndarray:
    """A round print of round ridges; `thickness` from -1 (no ridges) to 1 (no valleys)."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    away = np.hypot(y - middle[0], x - middle[1])
    ridge = np.clip(4 * (np.cos(2 * math.pi * away / period_px) + thickness), -1, 1)
    grey = np.where(away < radius_px, 130 - 90 * ridge, GLASS)
    return np.asarray(grey, np.uint8)


def dragged(pixels: np.ndarray, length_px: int, angle_rad: float) -> np.ndarray:
    """The mean of the image on its way."""
    dy, dx = math.sin(angle_rad), math.cos(angle_rad)
    steps = [np.roll(pixels, (round(dy * t), round(dx * t)), (0, 1)) for t in range(length_px)]
    return np.asarray(np.mean(steps, axis=0), np.uint8)


# -- no finger -------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0)
NOTHING = {
    "black": np.zeros(SHAPE, np.uint8),
    "white": np.full(SHAPE, 255, np.uint8),
    "glass": np.full(SHAPE, GLASS, np.uint8),
    "noise": RANDOM.integers(0, 256, SHAPE).astype(np.uint8),
    "grain": np.clip(RANDOM.normal(128, 25, SHAPE), 0, 255).astype(np.uint8),
    "shadow": np.tile(np.linspace(0, 255, SHAPE[1]).astype(np.uint8), (SHAPE[0], 1)),
    "half black": np.where(np.arange(SHAPE[1]) < 190, 0, 255)[None].repeat(SHAPE[0], 0),
    "stripes": np.tile(np.asarray(128 + 100 * np.sin(np.arange(388) * 0.7), np.uint8), (374, 1)),
    "too small": drawn(shape=(8, 8)),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_is_no_finger_is_not_worth_a_look(what) -> None:
    pixels = NOTHING[what].astype(np.uint8)
    with pytest.raises(AskAgain, match="finger-poor"):
        touch.check(touch.measure(pixels, 500))


@pytest.mark.parametrize("quality", ["good", "ordinary", "poor", "dry", "wet", "tiny"])
def test_a_finger_however_laid_is_one(quality) -> None:
    for one in seen(quality):
        touch.check(one)


# -- causes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", ["good", "ordinary"])
def test_nothing_is_found_fault_with_in_a_good_touch(quality) -> None:
    assert {touch.spoilt(one) for one in seen(quality)} == {None}
    assert {touch.cause(one) for one in seen(quality)} == {None}


@pytest.mark.parametrize(
    ("quality", "code", "least"),
    [("dry", "finger-dry", 7), ("wet", "finger-wet", 5), ("tiny", "press-harder", 8)],
)
def test_a_cause_is_named(quality, code, least) -> None:
    named = Counter(touch.cause(one) for one in seen(quality))
    assert named[code] >= least
    assert set(named) <= {code, None}, "and no other"


def test_thin_ridges_are_named_but_put_nothing_aside() -> None:
    assert {touch.spoilt(one) for one in seen("dry")} == {None}


@pytest.mark.parametrize(
    ("pixels", "code"),
    [
        (drawn(), None),
        (drawn(thickness=0.8), "finger-wet"),
        (drawn(radius_px=60), "press-harder"),
        (drawn((187, 60), radius_px=70), "centre-finger"),
        (drawn((320, 194), radius_px=70), "centre-finger"),
        (dragged(drawn(), 24, 0.0), "lift-and-place"),
        (dragged(drawn(), 24, 2.0), "lift-and-place"),
    ],
)
def test_each_cause_has_its_word(pixels, code) -> None:
    assert touch.spoilt(touch.measure(pixels, 500)) == code


@pytest.mark.parametrize("angle_rad", [0.0, 0.8, 2.0])
def test_a_dragged_finger_is_told_from_one_that_lay_still(angle_rad) -> None:
    for person in PERSONS:
        pixels = person.touch(2, 5).pixels
        assert touch.measure(pixels, 500).one_way < 0.5
        assert touch.measure(dragged(pixels, 20, angle_rad), 500).one_way > touch.ONE_WAY


def test_merged_ridges_are_counted_where_they_are() -> None:
    pixels = drawn()
    pixels[100:270, 110:280] = 40
    found = touch.measure(pixels, 500)
    assert found.merged == pytest.approx(170 * 170 / (math.pi * 150**2), rel=0.25)
    assert touch.spoilt(found) == "finger-wet"


def test_speckle_beside_the_ridges_is_dirt() -> None:
    pixels = drawn(radius_px=130)
    speckle = np.random.default_rng(1).integers(0, 256, SHAPE)
    pixels[:, 250:] = speckle[:, 250:]
    assert touch.spoilt(touch.measure(pixels, 500)) == "finger-poor"


def test_a_small_sensor_is_no_fault_of_the_finger() -> None:
    small = drawn((60, 60), shape=(120, 120))
    found = touch.measure(small, 500)
    assert found.print_mm2 < touch.SMALL_MM2
    assert touch.spoilt(found) is None


# -- what the measures do not depend on ------------------------------------------------------------


def test_gain_and_offset_of_the_sensor_change_no_verdict() -> None:
    pixels = PERSONS[0].touch(2, 1).pixels
    paler = np.asarray(90 + pixels * 0.4, np.uint8)
    one, other = touch.measure(pixels, 500), touch.measure(paler, 500)
    assert other.dark == pytest.approx(one.dark, abs=0.03)
    assert other.print_mm2 == pytest.approx(one.print_mm2, rel=0.05)
    assert touch.cause(other) is None


@pytest.mark.parametrize("dpi", [250, 569, 1000])
def test_areas_are_in_millimetres_at_any_resolution(dpi) -> None:
    scale = dpi / 500
    shape = (round(SHAPE[0] * scale), round(SHAPE[1] * scale))
    middle = (shape[0] / 2, shape[1] / 2)
    found = touch.measure(drawn(middle, 150 * scale, 0.0, 9 * scale, shape), dpi)
    assert found.print_mm2 == pytest.approx(math.pi * (150 * 25.4 / 500) ** 2, rel=0.12)
    assert touch.spoilt(found) is None


def test_every_cause_is_one_that_the_person_can_mend() -> None:
    ordinary = seen("ordinary")[0]
    changes: tuple[dict[str, float], ...] = (
        {"print_mm2": 20.0}, {"print_mm2": 20.0, "offset": 0.3}, {"dark": 0.9}, {"merged": 0.5},
        {"broken": 0.5}, {"one_way": 0.9}, {"dark": 0.1, "coherence": 0.4},
    )  # fmt: skip
    codes = {touch.cause(dataclasses.replace(ordinary, **change)) for change in changes}
    assert codes == {
        "press-harder", "centre-finger", "finger-wet", "finger-poor", "lift-and-place",
        "finger-dry",
    }  # fmt: skip
    for code in codes:
        assert isinstance(errors.error(str(code)), AskAgain)


# -- real prints, where there are any --------------------------------------------------------------

REAL = Path(__file__).parents[3] / "shared/fingerprints/images"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real prints beside the repository")
def test_no_real_print_is_taken_for_no_finger() -> None:
    image = pytest.importorskip("PIL.Image")
    for folder in sorted(REAL.iterdir()):
        found = Counter[str | None]()
        for path in sorted(folder.glob("*.png"))[::4]:
            with image.open(path) as opened:
                seen_ = touch.measure(
                    np.asarray(opened), 569 if folder.name == "fvc2002_db2" else 500
                )
            touch.check(seen_)
            found[touch.spoilt(seen_)] += 1
        assert found[None] > found.total() / 2, (folder.name, found)
