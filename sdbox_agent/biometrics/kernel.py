"""The compiled inner loops of a comparison: kernel.c, called with arrays that have been checked.

Built by `make setup` beside this file. Decides nothing: every number comes from parameters.py. The
same sums in NumPy, which tests/biometrics/oracle.py keeps, take six times as long.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sdbox_agent.biometrics import parameters as p
from sdbox_agent.errors import Bug

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sdbox_agent.biometrics.points import Floats, Points

    Indices = NDArray[np.int64]

LIBRARY: Final = Path(__file__).with_name("libkernel.so")

# -- kernel.c --------------------------------------------------------------------------------------

ABI: Final = 3
MOST: Final = 128  # minutiae a side
MOST_PROPOSALS: Final = 64


class _Side(ctypes.Structure):
    """struct points."""

    _fields_ = (  # type: ignore[mutable-override]  # ctypes reads it once
        ("xy", ctypes.c_void_p),
        ("angle", ctypes.c_void_p),
        ("worth", ctypes.c_void_p),
        ("hull", ctypes.c_void_p),
        ("n", ctypes.c_int64),
        ("corners", ctypes.c_int64),
    )


class _Registration(ctypes.Structure):
    """struct registration."""

    _fields_ = (  # type: ignore[mutable-override]  # ctypes reads it once
        ("angle", ctypes.c_double),
        ("x", ctypes.c_double),
        ("y", ctypes.c_double),
        ("paired", ctypes.c_double),
        ("probe_overlap", ctypes.c_double),
        ("reference_overlap", ctypes.c_double),
    )


class _Bending(ctypes.Structure):
    """struct bending."""

    _fields_ = (  # type: ignore[mutable-override]  # ctypes reads it once
        ("reach_px", ctypes.c_double),
        ("stiffness", ctypes.c_double),
        ("sigma_px", ctypes.c_double),
        ("sigma_rad", ctypes.c_double),
        ("rounds", ctypes.c_int64),
    )


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    for name in ("sdbox_abi", "sdbox_most", "sdbox_assign"):
        getattr(library, name).restype = ctypes.c_int64
    library.sdbox_relax.restype = library.sdbox_register.restype = None
    at, count, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
    library.sdbox_assign.argtypes = [at, count, count, at, at]
    library.sdbox_relax.argtypes = [at, at, at, at, count, at, number, count, at]
    library.sdbox_register.argtypes = [
        *(at, at, at, at, count, at, count, count, number, number, number),
        *(at, at, at, at),
    ]
    if (library.sdbox_abi(), library.sdbox_most()) != (ABI, MOST):
        raise ImportError(f"{path.name} is of another version: run `make setup`")
    return library


_library: Final = _load(LIBRARY)
_SIGMOIDS: Final = np.array((p.DISTANCE_SIGMOID, p.DIRECTION_SIGMOID, p.RADIAL_SIGMOID))
_STAGES: Final = np.array(p.TOLERANCES, dtype=np.float64)
_BENDING: Final = _Bending(p.BEND_REACH_PX, p.STIFFNESS, *p.BENT_TOLERANCE, p.BENDING_ROUNDS)


@dataclass(frozen=True, slots=True)
class Registration:
    """The best motion (probe to reference: turned, then moved), and what falls together under it.

    `weight` (probe,) says how well each minutia, the skin once bent, meets its `partner`, 0: it
    meets none. `paired` is what those are worth that meet, and the overlaps what the minutiae of
    each print are worth that lie in the area common to both.
    """

    angle_rad: float
    shift_px: tuple[float, float]
    paired: float
    probe_overlap: float
    reference_overlap: float
    weight: Floats
    partner: Indices


def assign(similarity: Floats) -> tuple[Indices, Indices]:
    """Best pairs first, each row and each column at most once, none of similarity 0."""
    table = np.ascontiguousarray(similarity, dtype=np.float64)
    if table.ndim != 2 or max(table.shape) > MOST:
        raise Bug("unforeseen")
    rows, columns = np.empty((2, MOST), dtype=np.int64)
    found = _library.sdbox_assign(
        _at(table),
        table.shape[0],
        table.shape[1],
        _at(rows),
        _at(columns),
    )
    return rows[:found], columns[:found]


def relax(strength: Floats, probe: Points, reference: Points, a: Indices, b: Indices) -> Floats:
    """Strengths after relaxation; `a`, `b`: the pairs' minutiae; all (pairs,)."""
    relaxed = np.array(strength, dtype=np.float64).reshape(-1)
    if len(relaxed) < 2:
        return relaxed
    a, b = _indices(a, len(probe), len(relaxed)), _indices(b, len(reference), len(relaxed))
    _library.sdbox_relax(
        ctypes.byref(_side(probe)),
        ctypes.byref(_side(reference)),
        _at(a),
        _at(b),
        len(relaxed),
        _at(_SIGMOIDS),
        p.RELAXATION_WEIGHT,
        p.RELAXATION_ROUNDS,
        _at(relaxed),
    )
    return relaxed


def register(probe: Points, reference: Points, a: Indices, b: Indices) -> Registration:
    """Register from proposals `a` (probe) and `b` (reference): minutia indices, best first."""
    if not 1 <= len(a) <= MOST_PROPOSALS:
        raise Bug("unforeseen")
    a, b = _indices(a, len(probe), len(a)), _indices(b, len(reference), len(a))
    out = _Registration()
    weight, partner = np.empty(len(probe)), np.empty(len(probe), dtype=np.int64)
    _library.sdbox_register(
        ctypes.byref(_side(probe)),
        ctypes.byref(_side(reference)),
        _at(a),
        _at(b),
        len(a),
        _at(_STAGES),
        len(_STAGES),
        p.REFINED_PROPOSALS,
        p.NOTHING_MEETS,
        p.FAINTEST_MEETING,
        p.OVERLAP_MARGIN_PX,
        ctypes.byref(_BENDING),
        ctypes.byref(out),
        _at(weight),
        _at(partner),
    )
    return Registration(
        out.angle, (out.x, out.y), out.paired, out.probe_overlap, out.reference_overlap,
        weight, partner,
    )  # fmt: skip


def check_points(points: Points) -> None:
    """Raise Bug unless the arrays are what C takes them for."""
    count, corners = len(points), len(points.hull_px)
    shapes = {
        "xy_px": (count, 2),
        "angle_rad": (count,),
        "worth": (count,),
        "hull_px": (corners, 2),
    }
    for name, shape in shapes.items():
        array = getattr(points, name)
        laid = array.dtype == np.float64 and array.flags.c_contiguous and array.shape == shape
        if not (laid and np.isfinite(array).all()):
            raise Bug("unforeseen")


def _side(points: Points) -> _Side:
    if not 1 <= len(points) <= MOST:
        raise Bug("unforeseen")
    return _Side(
        _at(points.xy_px), _at(points.angle_rad), _at(points.worth), _at(points.hull_px),
        len(points), len(points.hull_px),
    )  # fmt: skip


def _indices(chosen: Indices, below: int, count: int) -> Indices:
    """As C takes them. Raises Bug for one that points outside."""
    checked = np.ascontiguousarray(chosen, dtype=np.int64)
    if checked.shape != (count,) or count > MOST or checked.min() < 0 or checked.max() >= below:
        raise Bug("unforeseen")
    return checked


def _at(array: NDArray[np.float64] | Indices) -> int:
    return array.ctypes.data
