"""The compiled loops agree with the array arithmetic, and stay within their arrays."""

import ctypes
import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics import kernel, parameters
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.points import Points, points
from sdbox_agent.errors import Bug
from tests.biometrics import oracle
from tests.biometrics.templates import finger, moved, templates

HERE = Path(__file__).parent
tables = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**32 - 1)).map(
    lambda shape: np.round(np.random.default_rng(shape[2]).uniform(-0.5, 1, shape[:2]).clip(0), 2)
)
some = templates.filter(lambda template: len(template.minutiae) > 0)


def drawn(rng: np.random.Generator, one: Points, other: Points, count: int) -> list[np.ndarray]:
    return [rng.integers(0, len(side), count) for side in (one, other)]


@given(tables)
def test_assignment_is_the_oracles(table) -> None:
    for ours, theirs in zip(kernel.assign(table), oracle.assign(table), strict=True):
        assert ours.tolist() == theirs.tolist()


@given(some, some, st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_relaxation_is_the_oracles(one, other, count, seed) -> None:
    probe, reference = points(one), points(other)
    rng = np.random.default_rng(seed)
    a, b = drawn(rng, probe, reference, count)
    strength = rng.uniform(0, 1, count)
    given_ = strength.copy()
    ours = kernel.relax(strength, probe, reference, a, b)
    assert np.allclose(ours, oracle.relax(strength, probe, reference, a, b), rtol=1e-9, atol=1e-11)
    assert (strength == given_).all()


@pytest.mark.parametrize("seed", range(12))
def test_registration_is_the_oracles(seed) -> None:
    rng = np.random.default_rng(seed)
    probe = points(finger(seed))
    shift_px = tuple(rng.uniform(-60, 60, 2))
    same = points(moved(finger(seed), rng.uniform(-1, 1), shift_px, jitter_px=3.0, seed=seed))
    for reference in (same, points(finger(seed + 1))):
        a, b = drawn(rng, probe, reference, 8)
        a[:4] = b[:4] = rng.integers(0, min(len(probe), len(reference)), 4)
        ours = kernel.register(probe, reference, a, b)
        theirs = oracle.register(probe, reference, a, b)
        assert math.isclose(ours.paired, theirs.paired, rel_tol=1e-9)
        assert math.isclose(ours.probe_overlap, theirs.probe_overlap, rel_tol=1e-9)
        assert math.isclose(ours.reference_overlap, theirs.reference_overlap, rel_tol=1e-9)


def test_it_tells_who_met_whom_and_how_the_finger_lay() -> None:
    probe = points(finger(1))
    reference = points(moved(finger(1), 0.5, (30.0, -12.0), jitter_px=1.0))
    found = kernel.register(probe, reference, np.array([3, 9]), np.array([3, 9]))
    met = np.flatnonzero(found.weight > 0.3)
    assert len(met) > 0.9 * len(probe)
    assert (found.partner[met] == met).all()
    assert math.isclose(found.weight @ probe.worth, found.paired)  # the same in both
    cos, sin = math.cos(found.angle_rad), math.sin(found.angle_rad)
    turned = probe.xy_px @ np.array([[cos, sin], [-sin, cos]]) + found.shift_px
    assert np.abs(turned[met] - reference.xy_px[met]).max() < 6


def test_what_it_may_not_be_given_is_refused_before_it_is_asked() -> None:
    side, nobody = points(finger(1)), points(Template(()))
    one = np.array([0])
    with pytest.raises(Bug):
        kernel.assign(np.zeros((kernel.MOST + 1, 3)))
    for wrong in (np.array([len(side)]), np.array([-1]), np.array([0, 1])):
        with pytest.raises(Bug):
            kernel.register(side, side, one, wrong)
    for sides in ((side, nobody), (nobody, side)):
        with pytest.raises(Bug):
            kernel.register(*sides, one, one)
    with pytest.raises(Bug):
        kernel.register(side, side, np.array([], dtype=int), np.array([], dtype=int))
    many = kernel.MOST + 1
    crowd = Points(np.zeros((many, 2)), np.zeros(many), np.ones(many), np.zeros((1, 2)))
    with pytest.raises(Bug):
        kernel.register(crowd, side, one, one)
    many = np.zeros(kernel.MOST + 1, dtype=int)
    with pytest.raises(Bug):
        kernel.relax(np.ones(len(many)), side, side, many, many)


@pytest.mark.parametrize(
    "spoil",
    [
        {"xy_px": np.zeros((3, 2), dtype=np.float32)},
        {"xy_px": np.zeros((2, 3)).T},
        {"xy_px": np.zeros((2, 2))},
        {"worth": np.ones(2)},
        {"angle_rad": np.array([0.0, math.inf, 0.0])},
        {"hull_px": np.array([(0.0, math.nan)])},
    ],
    ids=str,
)
def test_arrays_that_c_could_not_read_are_no_points(spoil) -> None:
    good = {
        "xy_px": np.zeros((3, 2)),
        "angle_rad": np.zeros(3),
        "worth": np.ones(3),
        "hull_px": np.zeros((1, 2)),
    }
    assert len(Points(**good)) == 3
    with pytest.raises(Bug):
        Points(**(good | spoil))


def test_no_print_is_larger_than_it_takes() -> None:
    assert parameters.MAX_MINUTIAE <= kernel.MOST
    assert parameters.PROPOSALS <= kernel.MOST_PROPOSALS


def test_a_library_of_another_version_is_not_used(tmp_path) -> None:
    other = tmp_path / "libkernel.so"
    compiled(other, "-DABI=9", source='#include <stdint.h>\nint64_t sdbox_abi(void){return 9;}\n'
             'int64_t sdbox_most(void){return 128;}void sdbox_relax(void){}'
             'void sdbox_register(void){}int64_t sdbox_assign(void){return 0;}')  # fmt: skip
    with pytest.raises(ImportError, match="make setup"):
        kernel._load(other)


def compiled(target: Path, *options: str, source: str | None = None) -> None:
    given_ = ["-x", "c", "-"] if source else [str(Path(kernel.__file__).with_name("kernel.c"))]
    subprocess.run(
        [
            "cc",
            *f"-std=c11 -D_GNU_SOURCE -fPIC -shared -o {target}".split(),
            *options,
            *given_,
            "-lm",
        ],
        input=source,
        text=True,
        check=True,
        capture_output=True,
    )


@pytest.mark.slow
def test_it_stays_within_its_arrays_and_what_c_defines(tmp_path) -> None:
    """Under AddressSanitizer and UBSan, on crowds, lines, single places and far apart."""
    library = tmp_path / "libkernel.so"
    compiled(library, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    asan = subprocess.run(
        ["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    done = subprocess.run(
        [sys.executable, "-m", "tests.biometrics.sanitised", str(library)],
        cwd=HERE.parents[1],
        env={
            "LD_PRELOAD": asan,
            "ASAN_OPTIONS": "detect_leaks=0",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONMALLOC": "malloc",  # ctypes' structures too have edges to be watched
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "compared 400\n"


def test_structures_are_as_large_as_we_say() -> None:
    assert ctypes.sizeof(kernel._Side) == 48
    assert ctypes.sizeof(kernel._Registration) == 48
    assert ctypes.sizeof(kernel._Bending) == 40


# -- assignment and relaxation


@given(tables)
def test_each_row_and_column_is_used_once_and_best_first(table) -> None:
    rows, columns = kernel.assign(table)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    strengths = table[rows, columns]
    assert (strengths > 0).all()
    assert (np.diff(strengths) <= 0).all()
    left = np.delete(np.delete(table, rows, axis=0), columns, axis=1)
    assert not left.size or not left.any()  # nothing that could still be paired is left


def test_the_greedy_choice_takes_the_strongest_first() -> None:
    rows, columns = kernel.assign(np.array([[0.9, 0.8], [0.85, 0.1]]))
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (1, 1)]


def test_true_pairs_keep_their_strength_and_false_ones_lose_it() -> None:
    probe = points(finger(4))
    reference = points(moved(finger(4), 0.4, (20.0, 10.0), jitter_px=1.0))
    # `points` sorts by quality, which `moved` keeps: minutia k is minutia k.
    a = np.arange(30)
    b = np.where(a < 20, a, a[::-1] + 5)  # the last ten are paired wrongly
    wrong = (a >= 20) & (a != b)
    strength = kernel.relax(np.full(30, 0.5), probe, reference, a, b)
    assert wrong.sum() >= 8
    assert strength[:20].min() > 2 * strength[wrong].max()


@given(st.integers(0, 3), st.integers(0, 100))
def test_strengths_stay_between_0_and_1(count, seed) -> None:
    probe, reference = points(finger(seed)), points(finger(seed + 1))
    chosen = np.arange(count)
    strength = kernel.relax(np.ones(count), probe, reference, chosen, chosen)
    assert strength.shape == (count,)
    assert ((strength >= 0) & (strength <= 1)).all()


def test_a_single_pair_has_nothing_to_be_supported_by() -> None:
    places, one = points(finger(1)), np.array([0])
    assert kernel.relax(np.array([0.5]), places, places, one, one) == [0.5]


# -- registration


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.2, math.pi])
def test_the_same_finger_meets_almost_whole(angle) -> None:
    probe = points(finger(1))
    reference = points(moved(finger(1), angle, (30.0, -12.0), jitter_px=1.5))
    found = kernel.register(probe, reference, np.array([3, 9]), np.array([3, 9]))
    assert found.paired > 0.9 * len(probe)
    assert found.probe_overlap >= len(probe) - 3
    assert found.reference_overlap >= len(reference) - 3


def stretched(template: Template, pixels: float) -> Template:
    """Skin pushed to and fro across the finger, in waves as long as the finger is wide."""
    return Template(
        tuple(
            dataclasses.replace(m, x_px=m.x_px + pixels * math.sin(m.y_px / 50))
            for m in template.minutiae
        )
    )


@pytest.mark.parametrize("seed", range(4))
def test_skin_that_stretched_meets_when_bent(seed, monkeypatch) -> None:
    probe = points(finger(seed, 55))
    reference = points(moved(stretched(finger(seed, 55), 12.0), 0.2))
    middle = np.argsort(np.hypot(*(probe.xy_px - (190.0, -190.0)).T))[:4]
    bent = kernel.register(probe, reference, middle, middle).paired
    monkeypatch.setattr(kernel._BENDING, "reach_px", 1e6)  # all of it as one: stiff
    stiff = kernel.register(probe, reference, middle, middle).paired
    assert bent > 0.75 * len(probe)
    assert stiff < bent - 5


def test_a_rough_proposal_is_refined(monkeypatch) -> None:
    probe = points(finger(2))
    reference = points(moved(finger(2), 0.3))
    reference.angle_rad[5] += 0.1  # the proposal is 6 degrees out
    refined = kernel.register(probe, reference, np.array([5]), np.array([5])).paired
    monkeypatch.setattr(kernel, "_STAGES", kernel._STAGES[-1:])
    rough = kernel.register(probe, reference, np.array([5]), np.array([5])).paired
    assert refined > 0.85 * len(probe)
    assert rough < 0.75 * len(probe)


def test_a_minutia_meets_one_other_at_most() -> None:
    few = finger(6).minutiae[:3]
    crowd = tuple(
        dataclasses.replace(m, x_px=m.x_px + dx) for m in few for dx in (0.0, 0.7, 1.4, 2.1)
    )
    probe, reference = points(Template(crowd)), points(Template(few))
    found = kernel.register(probe, reference, np.array([0]), np.array([0]))
    assert 2.5 < found.paired <= 3


def test_other_fingers_meet_little() -> None:
    probe, reference = points(finger(3)), points(finger(4))
    found = kernel.register(probe, reference, np.arange(8), np.arange(8))
    assert found.paired < 0.5 * len(probe)


def test_a_proposal_that_brings_nothing_together_is_no_error() -> None:
    probe = points(finger(5))
    reference = points(moved(finger(5), 0.0, (5000.0, 0.0)))
    reference.angle_rad[:] = probe.angle_rad + math.pi / 2
    found = kernel.register(probe, reference, np.array([0]), np.array([44]))
    assert 0 <= found.paired < len(probe)
