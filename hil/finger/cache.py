"""Masters kept on disk under build/fingers, by seed and version: growing costs 0.3 s, reading 1 ms.

Only synthetic fingers are ever kept. A file that is not what was written is grown anew; where
nothing can be written, everything is grown.
"""

import contextlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.finger import master as masters
from hil.finger.master import Master
from hil.finger.orientation import FingerClass, Singularities

FOLDER = Path(__file__).parents[2] / "build" / "fingers"


def master(seed: int, kind: FingerClass | None = None, *, folder: Path = FOLDER) -> Master:
    """The finger of that seed, from disk if it is there."""
    name = f"v{masters.VERSION}-numpy{np.__version__}-{seed}{'-' + kind.value if kind else ''}.npz"
    path = folder / name
    with contextlib.suppress(OSError, ValueError, KeyError):
        return _read(path, seed)
    grown = masters.grow(seed, kind)
    with contextlib.suppress(OSError):
        _write(path, grown)
    return grown


def _read(path: Path, seed: int) -> Master:
    with np.load(path, allow_pickle=False) as stored:
        planes: NDArray[np.uint8] = stored["planes"]
        cores, deltas = stored["cores"], stored["deltas"]
        kind = FingerClass(str(stored["kind"]))
    if planes.shape != (2, *masters.SHAPE) or planes.dtype != np.uint8:
        raise ValueError("not a master of this version")
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
            np.savez(
                file,
                planes=np.stack((grown.ridges, grown.skin)),
                cores=np.asarray(grown.points.cores, np.float64),
                deltas=np.asarray(grown.points.deltas, np.float64),
                kind=np.asarray(grown.kind.value),
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
