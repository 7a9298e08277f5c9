"""Which way the ridges run: finger classes, their singular points, the orientation field.

Knows nothing of ridges or pixels' grey. Coordinates are pixels at 500 dpi, x to the right and
y downwards; angles are radians, counter-clockwise as seen, and ridges have no sense: modulo pi.

Sources: B. G. Sherlock, D. M. Monro, "A model for interpreting fingerprint topology", Pattern
Recognition 26(7), 1993 (zeros at the cores, poles at the deltas); P. R. Vizcaya, L. A. Gerhardt,
"A nonlinear orientation model for global description of fingerprints", Pattern Recognition
29(7), 1996 (real fields turn less evenly than that: corrected here by one smooth term for the
whole finger rather than one for each point); S. Huckemann, T. Hotz, A. Munk, "Global models for
the orientation field of fingerprints", IEEE TPAMI 30(9), 2008 (singular points mirrored in the
crease, so that the ridges run along it). Class shares: C. I. Watson, C. L. Wilson, NIST Special
Database 4, as natural proportions; the part of twin loops among the whorls is ours.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.finger import noise

Field = NDArray[np.float32]


class FingerClass(enum.Enum):
    """Henry's classes, a twin loop being counted apart from the whorls."""

    ARCH = "arch"
    TENTED_ARCH = "tented-arch"
    LEFT_LOOP = "left-loop"
    RIGHT_LOOP = "right-loop"
    WHORL = "whorl"
    TWIN_LOOP = "twin-loop"


NATURAL_SHARES: dict[FingerClass, float] = {
    FingerClass.ARCH: 0.037,
    FingerClass.TENTED_ARCH: 0.029,
    FingerClass.LEFT_LOOP: 0.338,
    FingerClass.RIGHT_LOOP: 0.317,
    FingerClass.WHORL: 0.219,
    FingerClass.TWIN_LOOP: 0.060,
}


@dataclass(frozen=True, slots=True)
class Variety:
    """How much fingers of one class differ: spreads and ranges of what is drawn, uniform.

    Attributes:
        name: in the names of what is kept.
        core_px: a loop's core lies at most so far from its usual place, each way.
        delta_px: its delta likewise.
        flank: how much steeper the flanks are than singular points make them.
        lean: how much a loop's tail leans.
        tip: how closely the tip's ridges follow its outline.
        wander_rad: standard deviation of the smooth irregularity of the whole field.
        period_px: ridge period: mean, standard deviation, least and most.
    """

    name: str
    core_px: float
    delta_px: float
    flank: tuple[float, float]
    lean: tuple[float, float]
    tip: tuple[float, float]
    wander_rad: float
    period_px: tuple[float, float, float, float]


PLAIN = Variety("", 14, 24, (0.25, 0.5), (0.1, 0.38), (0.75, 1.0), 0.07, (8.9, 0.45, 8.0, 10.0))
# Nearer to how much people differ: ridges of 0.40 to 0.54 mm, loops of few ridges and of many.
WIDE = Variety("wide", 26, 38, (0.0, 0.7), (-0.05, 0.5), (0.5, 1.15), 0.15, (9.0, 0.75, 7.8, 10.6))


@dataclass(frozen=True, slots=True)
class Singularities:
    """Cores and deltas, (x, y) in pixels of the master."""

    cores: tuple[tuple[float, float], ...]
    deltas: tuple[tuple[float, float], ...]


def draw_class(rng: np.random.Generator) -> FingerClass:
    """A class in natural proportion."""
    kinds = list(NATURAL_SHARES)
    return kinds[int(rng.choice(len(kinds), p=list(NATURAL_SHARES.values())))]


def place(
    rng: np.random.Generator,
    kind: FingerClass,
    centre: tuple[float, float],
    variety: Variety = PLAIN,
) -> Singularities:
    """Cores and deltas of a class about the middle of the finger, as fingers vary."""

    def near(dx: float, dy: float, spread: float) -> tuple[float, float]:
        jitter = rng.uniform(-spread, spread, 2)
        return centre[0] + dx + float(jitter[0]), centre[1] + dy + float(jitter[1])

    match kind:
        case FingerClass.ARCH:
            return Singularities((), ())
        case FingerClass.TENTED_ARCH:
            core = near(0, -5, 12)
            delta = (core[0] + float(rng.uniform(-6, 6)), core[1] + float(rng.uniform(60, 95)))
            return Singularities((core,), (delta,))
        case FingerClass.LEFT_LOOP | FingerClass.RIGHT_LOOP:
            side = 1.0 if kind is FingerClass.LEFT_LOOP else -1.0
            core = near(0, -25, variety.core_px)
            return Singularities((core,), (near(98 * side, 100, variety.delta_px),))
        case FingerClass.WHORL:
            upper = near(0, -35, 10)
            lower = (upper[0] + float(rng.uniform(-12, 12)), upper[1] + float(rng.uniform(14, 55)))
            return Singularities((upper, lower), (near(-108, 100, 22), near(108, 100, 22)))
        case FingerClass.TWIN_LOOP:
            side = float(rng.choice((-1.0, 1.0)))
            upper = near(-18 * side, -38, 8)
            lower = (
                upper[0] + 36 * side + float(rng.uniform(-8, 8)),
                upper[1] + float(rng.uniform(35, 60)),
            )
            return Singularities((upper, lower), (near(-112, 102, 20), near(112, 102, 20)))


def _turn(
    points: tuple[tuple[float, float], ...], z: NDArray[np.complex64], crease: float
) -> Field:
    """Sum of the arguments about the points and about their mirror images in the crease."""
    total = np.zeros(z.shape, np.float32)
    for x, y in points:
        total += np.angle(z - np.complex64(complex(x, -y)))
        total += np.angle(z - np.complex64(complex(x, y - 2 * crease)))
    return total


def field(
    rng: np.random.Generator,
    kind: FingerClass,
    points: Singularities,
    shape: tuple[int, int],
    step_px: int,
    variety: Variety = PLAIN,
) -> Field:
    """The orientation at every `step_px`-th pixel of a master of `shape` (rows, columns)."""
    height, width = shape
    y, x = np.mgrid[0:height:step_px, 0:width:step_px].astype(np.float32)
    z = (x - 1j * y).astype(np.complex64)
    crease = float(height) * 0.97
    theta = 0.5 * (_turn(points.cores, z, crease) - _turn(points.deltas, z, crease))
    # The tip: ridges follow its outline, steeper towards the sides; nothing of it at the crease.
    across = (x - width / 2) / (width / 2)
    above = 1 - y / crease
    if kind is FingerClass.ARCH:
        hump = rng.uniform(0.6, 0.9) * np.exp(-(((above - 0.47) / 0.22) ** 2))
        theta -= hump * np.sin(np.pi * np.clip(across * 1.25, -1, 1)) * np.exp(-(across**2) / 0.5)
    else:
        # Loops and whorls are rounder than poles and zeros alone make them: steeper flanks.
        flank = rng.uniform(*variety.flank) * np.exp(-(((above - 0.45) / 0.22) ** 2))
        theta -= flank * np.sin(np.clip(across, -1, 1) * np.pi / 2)
        # A loop's tail falls more steeply than its one delta lets it.
        lean = {FingerClass.LEFT_LOOP: 1.0, FingerClass.RIGHT_LOOP: -1.0}.get(kind, 0.0)
        bump = np.exp(-(((above - 0.45) / 0.25) ** 2))
        theta += lean * rng.uniform(*variety.lean) * bump
    tip = rng.uniform(*variety.tip) * np.clip((above - 0.12) / 0.75, 0, 1) ** 1.3
    theta -= tip * np.sin(np.clip(across, -1, 1) * np.pi / 2) * _tip_weight(kind)
    wander = noise.smooth(rng, theta.shape, 90 / step_px)
    return np.mod(theta + variety.wander_rad * wander, np.pi).astype(np.float32)


def _tip_weight(kind: FingerClass) -> float:
    """How much of the outline's slope the singular points do not give already."""
    return {FingerClass.ARCH: 1.0, FingerClass.TENTED_ARCH: 0.9}.get(kind, 0.75)
