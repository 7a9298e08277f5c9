"""One touch of a virtual finger on a sensor: the image, and the ground truth behind it.

Knows how a finger is laid and how skin prints (pressure, moisture, contact, dirt); knows nothing
of how the ridges grew, of grey levels (`exposure`), of files or of libfprint.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.finger import noise
from hil.finger.exposure import OPTICAL, Exposure, expose
from hil.finger.master import CENTRE, Master
from hil.finger.pose import Pose, Stretch

Field = NDArray[np.float32]
Image = NDArray[np.uint8]

NO_SLIP_SHARE = 0.42  # of the contact's semi-axes: the skin pressed too hard to slip
WIDTH_PX, HEIGHT_PX = OPTICAL.size_px


@dataclass(frozen=True, slots=True)
class Touch:
    """How a finger is laid: limits of what is drawn (uniform unless said).

    Attributes:
        rotation_deg: at most so far either way.
        shift_px: the finger's middle lies at most so far from the window's.
        aim_px: what is laid in the middle is at most so far from the finger's own middle.
        pull_px: traction of the skin, at most.
        twist_deg: torsion of the skin, at most.
        contact_px: semi-axes of the contact (x, y), before a spread of 8 %.
        pressure: middle of the ridge thickness: 0 as wide as the valleys, more is wider.
        patchiness: how much the pressure varies from place to place.
        grain: noise along the ridges' edges.
        pores: how open the pores are.
        contrast: how dark the ridges print, 0 to 1.
        dirt: mean number of scratches and blotches.
    """

    rotation_deg: float = 15.0
    shift_px: float = 20.0
    aim_px: float = 12.0
    pull_px: float = 8.0
    twist_deg: float = 6.0
    contact_px: tuple[float, float] = (128.0, 170.0)
    pressure: float = 0.0
    patchiness: float = 0.3
    grain: float = 0.42
    pores: float = 0.6
    contrast: float = 0.85
    dirt: float = 1.0


QUALITIES: dict[str, Touch] = {
    "good": Touch(8, 8, 4.8, 3, 2, (136, 176), 0.05, 0.12, 0.18, 0.4, 0.92, 0.2),
    "ordinary": Touch(),
    "poor": Touch(18, 22, 13.2, 9, 7, (118, 145), 0.0, 0.55, 0.62, 0.9, 0.6, 4.0),
    "dry": Touch(12, 14, 8.4, 5, 4, (122, 164), -0.62, 0.45, 0.62, 1.0, 0.62, 1.0),
    "wet": Touch(12, 14, 8.4, 7, 5, (134, 172), 0.75, 0.42, 0.25, 0.1, 0.97, 1.0),
    "tiny": Touch(14, 12, 7.2, 5, 4, (62, 76), 0.0, 0.22, 0.30, 0.6, 0.85, 0.5),
}


@dataclass(frozen=True, slots=True, eq=False)
class Impression:
    """An image and what is true of it.

    Attributes:
        pixels: uint8 (rows, columns), ridges dark, 500 dpi.
        pose: the map to and from the master.
        contact: bool (rows, columns): where skin lay on the sensor.
    """

    pixels: Image
    pose: Pose
    contact: NDArray[np.bool_]


def impression(
    master: Master,
    seed: int,
    *,
    quality: str = "ordinary",
    size_px: tuple[int, int] = OPTICAL.size_px,
    **how: float | tuple[float, float],
) -> Impression:
    """Lay the finger on the sensor once.

    Args:
        master: the finger.
        seed: of this touch; the same finger and seed give the same bytes.
        quality: good, ordinary, poor, dry, wet or tiny (`QUALITIES`).
        size_px: (width, height) of the sensor.
        how: fields of `Touch` that differ from that quality's.

    Raises:
        KeyError: no such quality.
        TypeError: no such field of `Touch`.
    """
    touch = dataclasses.replace(QUALITIES[quality], **how)  # type: ignore[arg-type]
    return lay(master, seed, touch, dataclasses.replace(OPTICAL, size_px=size_px))


def lay(master: Master, seed: int, touch: Touch, sensor: Exposure) -> Impression:
    """Lay the finger once, so, on such a sensor; the same arguments give the same bytes."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([master.seed, seed, 1])))
    width, height = sensor.size_px
    pose = _pose(rng, touch, (width / 2, height / 2))
    y, x = np.mgrid[0:height, 0:width]
    at = pose.to_master(np.stack((x, y), axis=-1).astype(np.float64))
    ridges, skin = _sample(master, at)
    reach = _reach(rng, pose, (height, width))
    dark = _print(rng, touch, ridges, skin, reach)
    pixels = expose(rng, sensor, dark, touch.contrast)
    return Impression(pixels, pose, reach > 0)


def _pose(rng: np.random.Generator, touch: Touch, middle: tuple[float, float]) -> Pose:
    """Draw the pose."""
    shift = rng.uniform(-1, 1, 2) * touch.shift_px
    spread = rng.uniform(0.92, 1.08, 2)
    pull = rng.uniform(-1, 1, 2) * touch.pull_px
    centre = (middle[0] + float(shift[0]), middle[1] + float(shift[1]))
    radii = (
        touch.contact_px[0] * NO_SLIP_SHARE * float(spread[0]),
        touch.contact_px[1] * NO_SLIP_SHARE * float(spread[1]),
    )
    stretch = Stretch(
        centre=centre,
        radii=radii,
        pull=(float(pull[0]), float(pull[1])),
        twist_rad=float(np.deg2rad(rng.uniform(-1, 1) * touch.twist_deg)),
        plasticity=float(rng.uniform(0.8, 2.0)),
    )
    aim = rng.uniform(-1, 1, 2) * touch.aim_px
    return Pose(
        rotation_rad=float(np.deg2rad(rng.uniform(-1, 1) * touch.rotation_deg)),
        image_centre=centre,
        master_centre=(CENTRE[0] + float(aim[0]), CENTRE[1] + float(aim[1]) + 8.0),
        stretch=stretch,
    )


def _sample(master: Master, at: NDArray[np.float64]) -> tuple[Field, Field]:
    """Ridges (-1 to 1) and skin (0 to 1) at master positions, bilinear; bare skin outside."""
    height, width = master.ridges.shape
    x = np.clip(at[..., 0], 0, width - 1.001)
    y = np.clip(at[..., 1], 0, height - 1.001)
    inside = (x == at[..., 0]) & (y == at[..., 1])
    column, row = x.astype(np.intp), y.astype(np.intp)
    fx, fy = (x - column).astype(np.float32), (y - row).astype(np.float32)
    index = row * width + column

    def read(plane: Image) -> Field:
        flat = plane.ravel()
        top = flat[index] * (1 - fx) + flat[index + 1] * fx
        bottom = flat[index + width] * (1 - fx) + flat[index + width + 1] * fx
        return np.asarray(top * (1 - fy) + bottom * fy, np.float32)

    ridges = np.where(inside, read(master.ridges) / np.float32(127.5) - 1, np.float32(-1))
    return ridges, read(master.skin) / np.float32(255)


def _reach(rng: np.random.Generator, pose: Pose, shape: tuple[int, int]) -> Field:
    """Depth inside the contact: 0 at its border, 1 in the middle, below 0 outside; irregular."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    c, s = np.cos(pose.rotation_rad), np.sin(pose.rotation_rad)
    dx, dy = x - pose.image_centre[0], y - pose.image_centre[1]
    u = (dx * c - dy * s) / (pose.stretch.radii[0] / NO_SLIP_SHARE)
    v = (dx * s + dy * c) / (pose.stretch.radii[1] / NO_SLIP_SHARE)
    # Squarer below than at the tip, where the ellipse is plain.
    power = np.where(v > 0, 2.6, 2.0)
    wavy = 0.03 * noise.smooth(rng, shape, 70) + 0.02 * noise.smooth(rng, shape, 9)
    return np.asarray(
        1 - (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power) + wavy, np.float32
    )


def _print(
    rng: np.random.Generator, touch: Touch, ridges: Field, skin: Field, reach: Field
) -> Field:
    """Where skin touches, 0 to 1."""
    shape = (ridges.shape[0], ridges.shape[1])
    edge = np.clip(reach / 0.16, -1.5, 1)
    pressure = touch.pressure + rng.normal(0, 0.15) + 0.75 * (edge - 1)
    pressure = pressure + touch.patchiness * noise.smooth(rng, shape, 38)
    ragged = 0.7 * noise.smooth(rng, shape, 2.2) + 0.7 * noise.smooth(rng, shape, 4.5)
    contact = ridges + pressure + touch.grain * ragged
    contact -= 2.2 * touch.pores * (1 - skin)
    for _ in range(int(rng.poisson(touch.dirt))):
        contact -= _scratch(rng, shape)
    contact = np.where(reach > -0.1, contact, -4)
    return np.asarray(1 / (1 + np.exp(-np.clip(4.5 * contact, -30, 30))), np.float32)


def _scratch(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """A line or a blotch that keeps the skin off the glass."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    x0, y0 = rng.uniform(0.2, 0.8) * shape[1], rng.uniform(0.2, 0.8) * shape[0]
    angle = rng.uniform(0, np.pi)
    along = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    across = (y - y0) * np.cos(angle) - (x - x0) * np.sin(angle)
    if rng.random() < 0.6:
        long, thick = rng.uniform(15, 60), rng.uniform(0.8, 2.2)
        across = across - rng.uniform(-0.004, 0.004) * along**2
    else:
        long, thick = rng.uniform(4, 12), rng.uniform(4, 10)
    shape_exponent = (along / long) ** 4 + (across / thick) ** 2
    return np.asarray(rng.uniform(0.8, 2.2) * np.exp(-np.minimum(shape_exponent, 30)), np.float32)
