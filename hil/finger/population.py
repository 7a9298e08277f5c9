"""People as they come to a sensor: each finger with its habits, each touch another.

Where `impression.QUALITIES` names kinds of touches, this draws them: dry skin stays dry for the
most part, a worn finger stays worn, and every touch is laid, pressed and turned afresh; some
cover little, some slip. The spreads are ours, set so that minutiae, areas and comparison scores of
one finger spread about as on public sets of real ones (`python -m hil.calibrate` prints both). The
fingers themselves are `orientation.WIDE` there: with `PLAIN` ones, too alike within a class,
strangers scored a quarter higher than real ones do.
"""

import numpy as np

from hil.finger.exposure import CAPACITIVE, COARSE, OPTICAL, PALE, Exposure
from hil.finger.impression import Impression, Touch, lay
from hil.finger.master import Master

SENSORS = (OPTICAL, PALE, CAPACITIVE, COARSE)

# Spreads: standard deviations, of a finger from the others and of a touch from its finger.
MOISTURE = (0.22, 0.20)
WEAR = (0.20, 0.12)
TURN_DEG = (5.0, 7.0)
SLIP_PX = 7.0  # of the skin, in a touch; a third as far again for the twist, in degrees
MISS_SHARE = 0.3  # of touches that are laid off the middle
MISS_PX, CARE_PX = 78.0, 26.0  # how far, at most: such a touch, and any other


def touch(master: Master, number: int, sensor: Exposure) -> Impression:
    """That touch of the finger, by its habits; the same arguments give the same bytes."""
    return lay(master, number, drawn(master.seed, number), sensor)


def drawn(finger: int, number: int) -> Touch:
    """How the finger of that seed is laid the `number`-th time."""
    own = np.random.Generator(np.random.PCG64(np.random.SeedSequence([finger, 2])))
    now = np.random.Generator(np.random.PCG64(np.random.SeedSequence([finger, number, 3])))

    def vary(spread: tuple[float, float]) -> float:
        return float(own.normal(0, spread[0]) + now.normal(0, spread[1]))

    moisture, wear, turn_deg = vary(MOISTURE), abs(vary(WEAR)), abs(vary(TURN_DEG))
    size = float(own.uniform(0.72, 1.05) * now.uniform(0.85, 1.08))
    off_px = MISS_PX if now.random() < MISS_SHARE else CARE_PX
    slip_px = abs(float(now.normal(0, SLIP_PX)))
    return Touch(
        rotation_deg=min(turn_deg * 1.7, 40.0),
        shift_px=off_px,
        aim_px=off_px * 0.8,
        pull_px=min(slip_px * 1.7, 20.0),
        twist_deg=min(slip_px, 12.0),
        contact_px=(128.0 * size, 170.0 * size),
        pressure=moisture,
        patchiness=0.3 + 0.6 * abs(moisture),
        grain=0.40 + wear,
        pores=0.7,
        contrast=float(np.clip(0.85 - 0.5 * wear + 0.2 * moisture, 0.4, 0.97)),
        dirt=1.0 + 5.0 * wear,
    )
