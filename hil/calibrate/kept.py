"""Arrays kept on disk under build/calibration, whole or not at all.

What can't be read is as if it were not there; where nothing can be written, nothing is kept.
"""

import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[2] / "build" / "calibration"

Arrays = dict[str, NDArray[np.generic]]


def read(path: Path, names: tuple[str, ...]) -> Arrays | None:
    """The arrays kept there by these very names, or None."""
    with (
        contextlib.suppress(OSError, ValueError, EOFError, zipfile.BadZipFile),
        path.open("rb") as file,  # here: NumPy leaves a file it can't read open
        np.load(file, allow_pickle=False) as stored,
    ):
        if sorted(stored.files) == sorted(names):
            return {name: stored[name] for name in names}
    return None


def write(path: Path, arrays: Arrays) -> None:
    """Keep them; others may be reading, or writing the same."""
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # its own keyword is a bool
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
