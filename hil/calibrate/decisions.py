"""Decisions about virtual people: each against strangers' fingers, and against their own.

A decision is what one spent attempt accepts (`sdbox_agent.biometrics.decision`): up to three
captures of one finger against all views of both enrolled ones. An attempt that has been accepted
stays so with a capture more, so a stranger's is scored after his last one.

People are cut into blocks and decisions made a tile at a time (a block's people against the fingers
of a block), so that few templates are prepared at once and an interrupted run goes on where it was.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.calibrate import code, kept, people, templates
from hil.calibrate.people import CAPTURES, Finger
from hil.calibrate.statistics import Decisions
from sdbox_agent.biometrics import decision
from sdbox_agent.biometrics.comparison import Prepared

POSITIONS = (2, 7)  # right and left index: ISO/IEC 19794-2:2005, finger position codes
NAMES = ("impostor", "impostor_who", "genuine", "genuine_who", "refused", "measures")


@dataclass(frozen=True, slots=True)
class Plan:
    """How many people, in blocks of how many, and how many touches a finger gives."""

    people: int
    block: int = 50
    impostor_decisions: int = 300_000
    captures: int = CAPTURES

    def blocks(self) -> int:
        """How many blocks."""
        return math.ceil(self.people / self.block)

    def members(self, block: int) -> range:
        """The people of a block."""
        return range(block * self.block, min((block + 1) * self.block, self.people))

    def tiles(self) -> list[tuple[int, int]]:
        """(people's block, strangers' block): whole diagonals until they are enough, or all."""
        found: list[tuple[int, int]] = []
        planned = 0
        for step in range(self.blocks()):
            if planned >= self.impostor_decisions:
                break
            for block in range(self.blocks()):
                other = (block + step) % self.blocks()
                found.append((block, other))
                strangers = len(self.members(other)) - (step == 0)
                planned += len(self.members(block)) * strangers * len(POSITIONS)
        return found


def tile(plan: Plan, rows: int, columns: int, *, folder: Path = kept.FOLDER) -> kept.Arrays:
    """The decisions of one tile, made or read; the diagonal's also hold the genuine ones."""
    name = f"{plan.people}-{plan.block}-{plan.captures}-{rows}-{columns}.npz"
    path = folder / "decisions" / key() / name
    found = kept.read(path, NAMES)
    if found is None:
        found = _made(plan, rows, columns, folder)
        kept.write(path, found)
    return found


@functools.cache
def key() -> str:
    """Changes with the code that decides, and with that which makes its templates."""
    return f"{code.digest(people, decision)}-{templates.key()}"


def joined(
    tiles: list[kept.Arrays],
) -> tuple[Decisions, list[Decisions], list[int], NDArray[np.float64]]:
    """Impostor decisions; genuine ones after each number of captures; touches refused a finger.

    Last, minutiae, area (mm2) and mean quality of every touch that passed: (n, 3).
    """
    whole = {name: np.concatenate([tile[name] for tile in tiles]) for name in NAMES}
    genuine = [Decisions(column, whole["genuine_who"]) for column in whole["genuine"].T]
    return (
        Decisions(whole["impostor"], whole["impostor_who"]),
        genuine,
        whole["refused"].tolist(),
        whole["measures"].astype(np.float64),
    )


def references(fingers: tuple[Finger, ...]) -> list[tuple[int, Prepared]]:
    """The views of a person's fingers, as `decision.fused` takes them."""
    return [
        (position, view)
        for position, finger in zip(POSITIONS, fingers, strict=True)
        for view in finger.views
    ]


def prefixes(
    captures: tuple[Prepared, ...], against: list[tuple[int, Prepared]], count: int
) -> list[float]:
    """The score after one capture, two, ... `count`; none that could be acquired scores 0."""
    return [decision.fused(captures[: k + 1], against) for k in range(count)]


def described(fingers: list[Finger]) -> kept.Arrays:
    """How good the fingers' touches were."""
    measures = [of_touch for finger in fingers for of_touch in finger.measures]
    return {
        "refused": np.asarray([finger.refused for finger in fingers], np.intp),
        "measures": np.asarray(measures, np.float64).reshape(-1, 3),
    }


def _made(plan: Plan, rows: int, columns: int, folder: Path) -> kept.Arrays:
    owners = {p: _fingers(p, plan.captures, folder) for p in plan.members(rows)}
    others = (
        owners
        if rows == columns
        else {p: _fingers(p, plan.captures, folder) for p in plan.members(columns)}
    )
    impostor: list[tuple[float, int, int]] = []
    genuine: list[list[float]] = []
    for owner, fingers in owners.items():
        against = references(fingers)
        for other, strange in others.items():
            if other != owner:
                impostor += [
                    (decision.fused(f.captures, against), owner, other)
                    for f in strange
                    if f.captures
                ]
        if rows == columns:
            genuine += [prefixes(f.captures, against, plan.captures) for f in fingers]
    whose = [p for p in owners for _ in POSITIONS] if rows == columns else []
    own = [f for fingers in owners.values() for f in fingers] if rows == columns else []
    table = np.asarray(impostor, np.float64).reshape(-1, 3)
    return {
        "impostor": table[:, 0],
        "impostor_who": table[:, 1:].astype(np.intp),
        "genuine": np.asarray(genuine, np.float64).reshape(-1, plan.captures),
        "genuine_who": np.asarray(whose, np.intp).reshape(-1, 1),
        **described(own),
    }


def _fingers(person: int, captures: int, folder: Path) -> tuple[Finger, ...]:
    return tuple(
        people.finger(2 * person + k, captures, folder=folder) for k in range(len(POSITIONS))
    )
