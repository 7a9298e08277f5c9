"""The same decisions on public sets of real fingers, where they are at hand.

A folder a set, `<finger>_<impression>.png` in it, the resolution in the file (those of the
Fingerprint Verification Competitions). Neither pixels nor templates are kept, only scores.
Each finger is taken for somebody's own; two of a set make a person, every pair once.
Knows nothing of virtual fingers.
"""

import hashlib
import itertools
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hil.calibrate import code, decisions, kept, people
from hil.calibrate.people import Finger
from hil.calibrate.statistics import Decisions
from sdbox_agent.biometrics import decision
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.errors import AskAgain
from sdbox_agent.sensor import detect

ROTATIONS = 4  # which impressions are enrolled: from the first, the third, the fifth, the seventh


def sets(folder: Path) -> list[Path]:
    """The folders that hold sets."""
    return sorted(path for path in folder.glob("*") if any(path.glob("*_*.png")))


def decided(folder: Path, *, keep: Path = kept.FOLDER) -> kept.Arrays:
    """The decisions of one set, made or read; `who` counts its fingers from 0."""
    path = keep / "real" / _key(folder) / f"{folder.name}.npz"
    found = kept.read(path, decisions.NAMES)
    if found is None:
        found = _made(folder)
        kept.write(path, found)
    return found


def _key(folder: Path) -> str:
    """Changes with the code, and with the files' names and sizes."""
    files = [f"{path.name} {path.stat().st_size}" for path in sorted(folder.glob("*.png"))]
    own = code.digest(sys.modules[__name__])
    return f"{own}-{decisions.key()}-{hashlib.sha256(repr(files).encode()).hexdigest()[:8]}"


def _made(folder: Path) -> kept.Arrays:
    impressions = _impressions(folder)
    impostor: list[tuple[float, int, int, int]] = []
    genuine: list[list[float]] = []
    whose: list[int] = []
    all_fingers: list[Finger] = []
    for rotation in range(ROTATIONS):
        fingers = [_finger(found, 2 * rotation) for found in impressions]
        all_fingers += fingers
        for a, b in itertools.combinations(range(len(fingers)), 2):
            against = decisions.references((fingers[a], fingers[b]))
            impostor += [
                (decision.fused(stranger.captures, against), a, b, c)
                for c, stranger in enumerate(fingers)
                if c not in {a, b} and stranger.captures
            ]
        for a, finger in enumerate(fingers):
            against = decisions.references((finger, fingers[(a + 1) % len(fingers)]))
            genuine.append(decisions.prefixes(finger.captures, against, people.CAPTURES))
            whose.append(a)
    table = np.asarray(impostor, np.float64).reshape(-1, 4)
    return {
        "impostor": table[:, 0],
        "impostor_who": table[:, 1:].astype(np.intp),
        "genuine": np.asarray(genuine, np.float64).reshape(-1, people.CAPTURES),
        "genuine_who": np.asarray(whose, np.intp).reshape(-1, 1),
        **decisions.described(all_fingers),
    }


def joined(
    found: list[kept.Arrays],
) -> tuple[Decisions, list[Decisions], list[int], NDArray[np.float64]]:
    """As `decisions.joined`, the fingers of each set being other people."""
    first = 0
    apart = []
    for one in found:
        shifted = dict(one)
        for name in ("impostor_who", "genuine_who"):
            shifted[name] = one[name] + first
        first += int(one["genuine_who"].max()) + 1
        apart.append(shifted)
    return decisions.joined(apart)


def _impressions(folder: Path) -> list[list[Template]]:
    """The templates of each finger, by impression."""
    named: dict[int, dict[int, Path]] = {}
    for path in folder.glob("*.png"):
        parts = re.fullmatch(r"(\d+)_(\d+)", path.stem)
        if parts:
            named.setdefault(int(parts[1]), {})[int(parts[2])] = path
    return [[_template(f[k]) for k in sorted(f)] for _, f in sorted(named.items())]


def _template(path: Path) -> Template:
    with Image.open(path) as image:
        pixels, dpi = np.asarray(image.convert("L")), float(image.info["dpi"][0])
    try:
        return detect.extract(pixels, dpi)
    except AskAgain:
        return Template(())


def _finger(impressions: list[Template], first: int) -> Finger:
    """The first that pass are enrolled, the next that pass are captures: none is both."""
    in_turn = iter([*impressions[first:], *impressions[:first]])
    enrolling = itertools.islice(in_turn, people.VIEWS + people.AGAIN)
    views = people.passing(enrolling, people.VIEWS, people.DESK)
    return people.joined(views, people.passing(in_turn, people.CAPTURES, people.BOX))
