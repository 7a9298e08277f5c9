"""The virtual card's comparison by itself: it tells fingers apart, in integers and bounded time."""

import ast
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.card import matcher
from sdbox_agent.biometrics import oncard
from sdbox_agent.biometrics.comparison import compare, prepare
from sdbox_agent.biometrics.decision import accepts
from tests import agreement
from tests.biometrics.templates import finger, moved

lists = st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=60).map(b"".join)


def probe(template) -> bytes:
    return oncard.probe(template, agreement.BIT)


# -- decisions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn_deg", [-60, -20, -5, 0, 5, 20, 60])
def test_a_finger_matches_however_it_lies_and_another_does_not(turn_deg) -> None:
    for seed in range(4):
        mine = finger(seed)
        laid = moved(mine, math.radians(turn_deg), (25.0, -40.0), jitter_px=2.0, seed=seed)
        assert matcher.matches(probe(mine), probe(laid))
        assert matcher.matches(probe(laid), probe(mine))
        assert not matcher.matches(probe(finger(seed + 100)), probe(laid))
        assert accepts(compare(prepare(laid), prepare(mine))), "the host says so too"


def test_a_finger_in_the_mirror_is_another() -> None:
    """What a wrong sense of y or of the angles would make of it."""
    data = probe(finger(3))
    mirrored = b"".join(
        bytes((255 - x, y, kind & 0xC0 | (32 - kind) & 0x3F))
        for x, y, kind in zip(data[::3], data[1::3], data[2::3], strict=True)
    )
    assert not matcher.matches(data, mirrored)
    upside = b"".join(
        bytes((x, 255 - y, kind))
        for x, y, kind in zip(*(data[k::3] for k in range(3)), strict=True)
    )
    assert not matcher.matches(data, upside)


MINE, LAID = probe(finger(5)), probe(moved(finger(5), 0.2, jitter_px=3.0))
OTHERS = probe(finger(6))


@settings(max_examples=10)
@given(st.permutations(range(45)))
def test_the_order_of_minutiae_decides_nothing(order) -> None:
    shuffled = b"".join(LAID[3 * k : 3 * k + 3] for k in order)
    assert matcher.matches(MINE, shuffled)
    assert not matcher.matches(OTHERS, shuffled)


@pytest.mark.parametrize("kept", [40, 30, 22])
def test_part_of_a_finger_is_that_finger(kept) -> None:
    mine = finger(7)
    part = type(mine)(tuple(sorted(mine.minutiae, key=lambda m: m.y_px)[:kept]))
    assert matcher.matches(probe(mine), probe(moved(part, 0.1, jitter_px=2.0)))


def test_too_little_of_a_finger_is_nobody_s() -> None:
    data = probe(finger(8))
    assert not matcher.matches(data, data[: 3 * 6])
    assert not matcher.matches(data[:3], data[:3])


@pytest.mark.rig  # libfprint, as detector
def test_the_card_decides_as_the_host_does() -> None:
    """A few fingers; `python -m tests.agreement --whole` is what the figures come from."""
    result = agreement.measured(*agreement.QUICK)
    genuine, others = result.of(genuine=True), result.of(genuine=False)
    assert len(genuine) > 100
    assert len(others) == 80
    assert result.agreed >= 0.995 * len(result.comparisons)
    assert not any(c.card for c in others)
    assert sum(c.card for c in genuine) >= 0.99 * len(genuine)


def test_an_interval_is_wilson_s() -> None:
    """Against the value in Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263."""
    low, high = agreement.wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    low, high = agreement.wilson(0, 20)
    assert (round(low, 4), round(high, 4)) == (0.0, 0.1611)


# -- bounds --------------------------------------------------------------------------------------


@given(lists, lists)
def test_any_minutiae_are_compared(reference, data) -> None:
    assert matcher.matches(reference, data) in (True, False)


@pytest.mark.parametrize("data", [b"", b"12", b"1234", bytes(3 * (matcher.MAX_MINUTIAE + 1))])
def test_what_is_no_list_of_minutiae_is_refused(data) -> None:
    with pytest.raises(ValueError, match="minutiae"):
        matcher.matches(data, probe(finger(1)))
    with pytest.raises(ValueError, match="minutiae"):
        matcher.matches(probe(finger(1)), data)


def test_no_minutiae_keep_the_card_long() -> None:
    """One direction for all is the most work: every pair votes in every bin."""
    rng = np.random.default_rng(1)
    strewn = b"".join(bytes((*rng.integers(0, 256, 2).tolist(), 0x40)) for _ in range(60))
    heaped = b"".join(bytes((100 + k % 8, 100 + k // 8, 0x40)) for k in range(60))
    for reference, data in ((strewn, strewn), (heaped, heaped), (strewn, heaped)):
        taken_s = []
        for _ in range(3):
            start_s = time.process_time()
            matcher.matches(reference, data)
            taken_s.append(time.process_time() - start_s)
        assert min(taken_s) < 1  # 12 to 25 ms here, 160 where coverage counts on a slow machine


def test_it_reckons_in_integers_alone() -> None:
    tree = ast.parse(Path(matcher.__file__).read_text("utf-8"))
    nodes = list(ast.walk(tree))
    assert not any(isinstance(n, ast.Constant) and isinstance(n.value, float) for n in nodes)
    assert not any(isinstance(n, ast.Div) for n in nodes)
    imported = {
        f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names
    }
    assert imported == {
        "__future__.annotations",
        "math.isqrt",
        "typing.TYPE_CHECKING",
        "typing.Final",
        "collections.abc.Sequence",
    }
    assert not any(isinstance(n, ast.Import) for n in nodes)


def test_its_tables_are_sines() -> None:
    for step in range(matcher.FINE_TURN):
        rad = 2 * math.pi * step / matcher.FINE_TURN
        assert abs(matcher.SIN[step] - matcher.ONE * math.sin(rad)) <= 0.5
        assert abs(matcher.COS[step] - matcher.ONE * math.cos(rad)) <= 0.5
    for square, weight in enumerate(matcher.WEIGHT):
        assert abs(weight - 256 * math.exp(-square / 8)) <= 1
