"""The virtual card's own comparison of two fingers: compact card format in, yes or no out.

Integers and small tables only, as a smartcard would have it, and of bounded time: at most
MAX_MINUTIAE on a side, a fixed number of motions tried. Pairs of minutiae vote for a rotation and a
shift; the best of them are refined on what then falls together; the decision is by how much does,
in the area that both prints cover. Gives no score, and knows nothing of counters or of a host's
comparison.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# -- ISO/IEC 19794-2:2005, compact card format -----------------------------------------------------

MINUTIA_BYTES: Final = 3  # x, y in 0.1 mm; type in 2 bits, angle in 6
ANGLE_MASK: Final = 0x3F
TURN: Final = 64  # angle units a turn: 5.625 degrees each

# -- ours ------------------------------------------------------------------------------------------

MAX_MINUTIAE: Final = 85  # the most one short APDU carries
FINE: Final = 4  # a motion's rotation is in quarters of an angle unit
FINE_TURN: Final = TURN * FINE
ONE: Final = 1 << 12  # the sines' unit
MAX_ROTATION: Final = 16  # angle units either way: a quarter turn
ROTATION_STEP: Final = 2  # a voting bin begins every so many units,
ROTATION_BIN: Final = 6  # and is so wide
SHIFT_BITS: Final = 3  # bins of shift are 16 wide, and begin every 8 (0.1 mm)
PROPOSALS: Final = 8  # motions worth trying
REFINED: Final = 3  # of them, worth refining
# What the squares of distance (0.1 mm) and of turn (angle units) are divided by to find a place in
# WEIGHT, a stage each: minutiae that meet lie ever nearer.
STAGES: Final = ((12, 4), (9, 3), (6, 3))
REFINED_TURN: Final = 16  # of FINE_TURN: how far a refinement may turn a motion
MARGIN: Final = 4  # 0.1 mm: about a ridge's period, around the common area
MIN_COMMON: Final = 14  # minutiae: a smaller common area says no more than this one would
# Of 8,000 comparisons of different virtual fingers 5 reach it: an FMR under 0.15 % (95 %, Wilson;
# chosen on the same; python -m tests.agreement --whole).
THRESHOLD_FMR_0_15_PERCENT: Final = 480  # of 1000

_QUARTER: Final = (
    *(0, 101, 201, 301, 401, 501, 601, 700, 799, 897, 995, 1092, 1189, 1285, 1380, 1474, 1567),
    *(1660, 1751, 1842, 1931, 2019, 2106, 2191, 2276, 2359, 2440, 2520, 2598, 2675, 2751, 2824),
    *(2896, 2967, 3035, 3102, 3166, 3229, 3290, 3349, 3406, 3461, 3513, 3564, 3612, 3659, 3703),
    *(3745, 3784, 3822, 3857, 3889, 3920, 3948, 3973, 3996, 4017, 4036, 4052, 4065, 4076, 4085),
    *(4091, 4095, 4096),
)  # sines of a quarter turn, in FINE_TURN steps
_HALF: Final = _QUARTER + _QUARTER[-2:0:-1]
SIN: Final = _HALF + tuple(-value for value in _HALF)
COS: Final = SIN[FINE_TURN // 4 :] + SIN[: FINE_TURN // 4]
# A bell, 256 high, over squares: it falls to 1/e at 8.
WEIGHT: Final = (
    *(256, 226, 199, 176, 155, 137, 121, 107, 94, 83, 73, 65, 57, 50, 44, 39, 35, 31, 27, 24, 21),
    *(19, 16, 14, 13, 11, 10, 9, 8, 7, 6, 5, 5, 4, 4, 3, 3, 3, 2, 2, 2, 2),
)

Point = tuple[int, int, int]  # x, y (up), angle
Motion = tuple[int, int, int]  # rotation in FINE_TURN steps, then shift
Pair = tuple[int, int, int]  # weight, probe's, reference's


def matches(reference: bytes, probe: bytes) -> bool:
    """Whether both are of one finger. Raises ValueError for what is no list of minutiae."""
    return _score(_points(reference), _points(probe)) >= THRESHOLD_FMR_0_15_PERCENT


def _points(minutiae: bytes) -> list[Point]:
    """Minutiae around their middle, y up."""
    if len(minutiae) % MINUTIA_BYTES or not 0 < len(minutiae) // MINUTIA_BYTES <= MAX_MINUTIAE:
        raise ValueError("not a list of minutiae")
    rows = {tuple(minutiae[k : k + 3]) for k in range(0, len(minutiae), MINUTIA_BYTES)}
    found = sorted((x, -y, angle & ANGLE_MASK) for x, y, angle in rows)
    middle_x = sum(x for x, _, _ in found) // len(found)
    middle_y = sum(y for _, y, _ in found) // len(found)
    return [(x - middle_x, y - middle_y, angle) for x, y, angle in found]


def _score(reference: list[Point], probe: list[Point]) -> int:
    """How much falls together, of 1000."""
    tried = []
    for motion in _proposals(reference, probe):
        pairs = _meeting(reference, probe, motion, *STAGES[0])
        tried.append((sum(weight for weight, _, _ in pairs), motion, pairs))
    for stage in STAGES[1:]:
        tried.sort(key=_soft_count, reverse=True)
        refined = []
        for _, motion, pairs in tried[:REFINED]:
            better = _refined(reference, probe, motion, pairs)
            met = _meeting(reference, probe, better, *stage)
            refined.append((sum(weight for weight, _, _ in met), better, met))
        tried = refined
    if not tried:
        return 0
    count, motion, _ = max(tried, key=_soft_count)
    there = [(x, y) for x, y, _ in reference]
    here = _moved(probe, motion)
    common_probe = max(_common(here, there), MIN_COMMON)
    common_reference = max(_common(there, here), MIN_COMMON)
    return min(count * 1000 // (WEIGHT[0] * isqrt(common_probe * common_reference)), 1000)


def _soft_count(tried: tuple[int, Motion, list[Pair]]) -> int:
    return tried[0]


# -- votes -----------------------------------------------------------------------------------------


def _proposals(reference: list[Point], probe: list[Point]) -> list[Motion]:
    """The motions most pairs agree on, best first."""
    by_angle: list[list[tuple[int, int]]] = [[] for _ in range(TURN)]
    for x, y, angle in reference:
        by_angle[angle].append((x, y))
    votes: dict[Motion, int] = {}
    for first in range(-MAX_ROTATION, MAX_ROTATION, ROTATION_STEP):
        rotation = (first * FINE + ROTATION_BIN * FINE // 2 - FINE // 2) % FINE_TURN
        for (x, y), (_, _, angle) in zip(_moved(probe, (rotation, 0, 0)), probe, strict=True):
            for turn in range(first, first + ROTATION_BIN):
                for there_x, there_y in by_angle[angle + turn & ANGLE_MASK]:
                    column, row = there_x - x >> SHIFT_BITS, there_y - y >> SHIFT_BITS
                    for bin_ in (
                        (rotation, column, row),
                        (rotation, column - 1, row),
                        (rotation, column, row - 1),
                        (rotation, column - 1, row - 1),
                    ):
                        votes[bin_] = votes.get(bin_, 0) + 1
    best = sorted(votes, key=lambda bin_: (-votes[bin_], bin_))[:PROPOSALS]
    width = 1 << SHIFT_BITS  # half a bin: its middle
    return [
        (r, (column << SHIFT_BITS) + width, (row << SHIFT_BITS) + width) for r, column, row in best
    ]


# -- motions ---------------------------------------------------------------------------------------


def _moved(points: list[Point], motion: Motion) -> list[tuple[int, int]]:
    rotation, shift_x, shift_y = motion
    cos, sin = COS[rotation], SIN[rotation]
    half = ONE // 2
    return [
        ((x * cos - y * sin + half) // ONE + shift_x, (x * sin + y * cos + half) // ONE + shift_y)
        for x, y, _ in points
    ]


def _meeting(
    reference: list[Point], probe: list[Point], motion: Motion, width: int, turn_width: int
) -> list[Pair]:
    """Minutiae that are each other's nearest under the motion, with how near."""
    reach = isqrt(width * (len(WEIGHT) - 1))
    turned = (motion[0] + FINE // 2) // FINE
    best_of: list[Pair] = []
    back = [0] * len(reference)
    for i, (x, y) in enumerate(_moved(probe, motion)):
        angle = probe[i][2] + turned + TURN // 2
        best, partner = 0, -1
        for j, (there_x, there_y, there_angle) in enumerate(reference):
            dx = there_x - x
            if -reach <= dx <= reach:
                dy = there_y - y
                if -reach <= dy <= reach:
                    turn = (there_angle - angle & ANGLE_MASK) - TURN // 2
                    place = (dx * dx + dy * dy) // width + turn * turn // turn_width
                    if place < len(WEIGHT):
                        weight = WEIGHT[place]
                        if weight > best:
                            best, partner = weight, j
                        back[j] = max(back[j], weight)
        if best:
            best_of.append((best, i, partner))
    return [pair for pair in best_of if back[pair[2]] == pair[0]]


def _refined(
    reference: list[Point], probe: list[Point], motion: Motion, pairs: list[Pair]
) -> Motion:
    """The motion that brings the pairs nearest, by weighted least squares."""
    total = sum(weight for weight, _, _ in pairs)
    if not total:
        return motion
    x0 = sum(w * probe[i][0] for w, i, _ in pairs) // total
    y0 = sum(w * probe[i][1] for w, i, _ in pairs) // total
    x1 = sum(w * reference[j][0] for w, _, j in pairs) // total
    y1 = sum(w * reference[j][1] for w, _, j in pairs) // total
    dot = cross = 0
    for w, i, j in pairs:
        ax, ay = probe[i][0] - x0, probe[i][1] - y0
        bx, by = reference[j][0] - x1, reference[j][1] - y1
        dot += w * (ax * bx + ay * by)
        cross += w * (ax * by - ay * bx)
    rotation = max(
        (
            step % FINE_TURN
            for step in range(motion[0] - REFINED_TURN, motion[0] + REFINED_TURN + 1)
        ),
        key=lambda step: dot * COS[step] + cross * SIN[step],
    )
    ((x, y),) = _moved([(x0, y0, 0)], (rotation, 0, 0))
    return rotation, x1 - x, y1 - y


# -- common area -----------------------------------------------------------------------------------


def _common(places: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> int:
    """How many of `places` lie in the hull of `others`, or hardly outside."""
    corners = _hull(others)
    sides = []
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        dx, dy = x1 - x0, y1 - y0
        sides.append((dx, dy, dx * y0 - dy * x0 - MARGIN * isqrt(dx * dx + dy * dy)))
    return sum(all(dx * y - dy * x >= least for dx, dy, least in sides) for x, y in places)


def _hull(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Corners of the convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(set(places))
    return _chain(ordered)[:-1] + _chain(ordered[::-1])[:-1] if len(ordered) > 1 else ordered


def _chain(ordered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    chain: list[tuple[int, int]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2], chain[-1]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain
