"""The virtual card's comparison by itself: what it takes, and that it tells fingers apart."""

import numpy as np
import pytest

from hil.card import matcher


def finger(seed: int, count: int = 40) -> list[tuple[int, int, int]]:
    """Minutiae (0.1 mm, 0.1 mm, 64ths of a turn) strewn over a print."""
    rng = np.random.default_rng(seed)
    return [
        (int(x), int(y), int(a))
        for x, y, a in zip(
            rng.integers(65, 185, count),
            rng.integers(65, 185, count),
            rng.integers(0, 64, count),
            strict=True,
        )
    ]


def encoded(minutiae: list[tuple[int, int, int]]) -> bytes:
    return b"".join(bytes((x, y, 0x40 | a)) for x, y, a in minutiae)


def turned(minutiae: list[tuple[int, int, int]], units: int) -> list[tuple[int, int, int]]:
    """The print turned counter-clockwise as seen (y is down), about its middle."""
    rad = units * 2 * np.pi / 64
    cos, sin = np.cos(rad), np.sin(rad)
    return [
        (
            round(125 + (x - 125) * cos + (y - 125) * sin),
            round(125 - (x - 125) * sin + (y - 125) * cos),
            (a + units) % 64,
        )
        for x, y, a in minutiae
    ]


def test_a_finger_matches_itself_however_it_lies_and_another_does_not() -> None:
    mine, other = finger(1), finger(2)
    assert matcher.matches(encoded(mine), encoded(mine))
    for units in (-6, -1, 3, 6):
        assert matcher.matches(encoded(mine), encoded(turned(mine, units)))
        assert not matcher.matches(encoded(other), encoded(turned(mine, units)))


@pytest.mark.parametrize("data", [b"", b"12", b"1234", bytes(3 * (matcher.MAX_MINUTIAE + 1))])
def test_what_is_no_list_of_minutiae_is_refused(data) -> None:
    with pytest.raises(ValueError, match="minutiae"):
        matcher.matches(data, encoded(finger(1)))
    with pytest.raises(ValueError, match="minutiae"):
        matcher.matches(encoded(finger(1)), data)
