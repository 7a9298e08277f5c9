"""Masters kept on disk under build/fingers, 150 kB each: growing costs 0.4 s, reading 3 ms.

Only synthetic fingers are ever kept. The key is the seed, NumPy's version and a digest of the
code that grows them, so that a finger kept is the finger that would be grown. A file that is not
what was written is grown anew; where nothing can be written, everything is grown.
"""

import contextlib
import functools
import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.finger import master as masters
from hil.finger import noise, orientation, ridges
from hil.finger.master import Master
from hil.finger.orientation import PLAIN, FingerClass, Singularities, Variety

FOLDER = Path(__file__).parents[2] / "build" / "fingers"


def master(
    seed: int,
    kind: FingerClass | None = None,
    *,
    variety: Variety = PLAIN,
    folder: Path = FOLDER,
) -> Master:
    """The finger of that seed, from disk if it is there."""
    drawn_or_given = "" if kind is None else f"-{kind.value}"
    path = folder / f"{_code()}-numpy{np.__version__}-{seed}{drawn_or_given}{variety.name}.npz"
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return _read(path, seed)
    grown = masters.grow(seed, kind, variety)
    with contextlib.suppress(OSError):
        _write(path, grown)
    return grown


@functools.cache
def _code() -> str:
    """A short digest of everything that decides a master's bytes."""
    digest = hashlib.sha256()
    for module in (noise, orientation, ridges, masters):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def _read(path: Path, seed: int) -> Master:
    # Opened here: NumPy leaves a file it can't read open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        planes: NDArray[np.uint8] = stored["planes"]
        cores, deltas = stored["cores"], stored["deltas"]
        kind = FingerClass(str(stored["kind"]))
    if planes.shape != (2, *masters.SHAPE) or planes.dtype != np.uint8:
        raise ValueError("not a master")
    points = Singularities(_pairs(cores), _pairs(deltas))
    return Master(seed, kind, points, planes[0], planes[1])


def _pairs(table: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in table.reshape(-1, 2))


def _write(path: Path, grown: Master) -> None:
    """Whole or not at all: others may be reading, or growing the same one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(
                file,
                planes=np.stack((grown.ridges, grown.skin)),
                cores=np.asarray(grown.points.cores, np.float64),
                deltas=np.asarray(grown.points.deltas, np.float64),
                kind=np.asarray(grown.kind.value),
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
