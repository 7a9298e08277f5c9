"""Touches of virtual fingers as templates, extracted once and kept under build/agreement.

Only synthetic fingers are ever kept. The key is a digest of the code that grows, lays and detects
them, so that what is read is what would be made; what can't be written is made each time.
"""

import contextlib
import functools
import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hil.finger import cache, exposure, impression, master, noise, orientation, pose, ridges
from hil.finger.person import RIGHT_INDEX, Person
from sdbox_agent.biometrics import minutia, quality
from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template
from sdbox_agent.errors import AskAgain
from sdbox_agent.sensor import detect

FOLDER = Path(__file__).parents[1] / "build" / "agreement"
# Every touch that the gate lets through counts, whatever its quality.
TOUCHES = ("good", "good", "ordinary", "ordinary", "dry", "wet", "poor", "tiny")
FIRST_PERSON = 7000  # thresholds were chosen on others
_CODE = (exposure, impression, master, noise, orientation, pose, ridges, minutia, detect)


@dataclass(frozen=True)
class Touched:
    """One touch: whose, how it was laid, what was found."""

    person: int
    quality: str
    template: Template
    prepared: Prepared


def touches(people: int) -> list[Touched]:
    """The right index fingers of so many people, each touch that is worth an attempt."""
    found = []
    for person in range(FIRST_PERSON, FIRST_PERSON + people):
        for touch, how in enumerate(TOUCHES):
            template = _template(person, touch, how)
            prepared = prepare(template)
            with contextlib.suppress(AskAgain):
                quality.check_probe(quality.measure(template, prepared))
                found.append(Touched(person, how, template, prepared))
    return found


def _template(person: int, touch: int, how: str) -> Template:
    path = FOLDER / f"{_code()}-numpy{np.__version__}-{person}-{touch}-{how}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile):
        return _of(np.load(path, allow_pickle=False))
    pixels = Person(person).touch(RIGHT_INDEX, touch, how).pixels
    try:
        rows = _rows(detect.extract(pixels, 500))
    except AskAgain:  # no finger to the detector
        rows = np.zeros((0, 5))
    with contextlib.suppress(OSError):
        FOLDER.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        with beside.open("wb") as file:
            np.save(file, rows)
        beside.replace(path)
    return _of(rows)


@functools.cache
def _code() -> str:
    digest = hashlib.sha256()
    for module in (cache, *_CODE):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _rows(template: Template) -> np.ndarray:
    rows = [(m.x_px, m.y_px, m.angle_rad, m.type, m.quality) for m in template.minutiae]
    return np.asarray(rows, np.float64).reshape(-1, 5)


def _of(rows: np.ndarray) -> Template:
    return Template(
        tuple(Minutia(x, y, a, MinutiaType(int(t)), int(q)) for x, y, a, t, q in rows.tolist())
    )
