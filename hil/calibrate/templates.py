"""Touches of virtual people as templates, extracted as a box does, each kept once made.

Only synthetic fingers are ever kept. The key holds a digest of the code that grows, lays, exposes
and extracts, and of libfprint itself.
"""

import dataclasses
import functools
import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.calibrate import code, kept
from hil.finger import cache, population
from hil.finger.exposure import Exposure
from hil.finger.orientation import WIDE
from sdbox_agent.biometrics.minutia import PPI, Minutia, MinutiaType, Template
from sdbox_agent.errors import AskAgain
from sdbox_agent.sensor import detect

NAMES = ("minutiae", "second")


def template(seed: int, number: int, sensor: int, *, folder: Path = kept.FOLDER) -> Template:
    """What the extractor finds in that touch of the finger of that seed; empty where nothing."""
    path = folder / "templates" / f"{key()}" / f"{seed}-{number}-{sensor}.npz"
    found = kept.read(path, NAMES)
    if found is None:
        found = arrays(_extracted(seed, number, population.SENSORS[sensor]))
        kept.write(path, found)
    return of(found)


@functools.cache
def key() -> str:
    """Changes with the code that makes a template, with NumPy and with libfprint."""
    return f"{code.digest(sys.modules[__name__])}-{np.__version__}-{_libfprint()}"


def _libfprint() -> str:
    """A digest of the library that is loaded: its version is not to be had from it."""
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        if "/libfprint-2.so" in line:
            return hashlib.sha256(Path(line.split()[-1]).read_bytes()).hexdigest()[:8]
    return "none"


def _extracted(seed: int, number: int, sensor: Exposure) -> Template:
    pixels = population.touch(cache.master(seed, variety=WIDE), number, sensor).pixels
    try:
        return detect.extract(pixels, PPI)
    except AskAgain:
        return Template(())


def arrays(found: Template) -> kept.Arrays:
    """To keep; TypeError for a template with more in it than is kept here."""
    if {field.name for field in dataclasses.fields(found)} != set(NAMES):
        raise TypeError("a template has grown: keep all of it")
    return {"minutiae": _rows(found.minutiae), "second": _rows(found.second)}


def of(stored: kept.Arrays) -> Template:
    """What `arrays` was given."""
    return Template(_minutiae(stored["minutiae"]), _minutiae(stored["second"]))


def _rows(minutiae: tuple[Minutia, ...]) -> NDArray[np.float64]:
    rows = [(m.x_px, m.y_px, m.angle_rad, m.type, m.quality) for m in minutiae]
    return np.asarray(rows, np.float64).reshape(-1, 5)


def _minutiae(rows: NDArray[np.generic]) -> tuple[Minutia, ...]:
    return tuple(Minutia(x, y, a, MinutiaType(int(t)), int(q)) for x, y, a, t, q in rows.tolist())
