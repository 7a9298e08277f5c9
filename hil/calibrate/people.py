"""Who decisions are made about: enrolled views of two fingers, and touches to be let in by.

A person's touches pass the gates a box and a desk have; a touch that fails one is taken again, as a
person would be asked, a few times. Virtual people: two fingers grown apart (a real person's two
fingers are a little more alike than that), both always on one sensor, a quarter of the people on
each kind.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hil.calibrate import kept, templates
from hil.finger import population
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.biometrics.quality import Measures
from sdbox_agent.errors import AskAgain, Refused

FIRST_SEED = 9_000_000  # fingers that nothing else of the project has seen
VIEWS, CAPTURES = 3, 3
ANOTHER_DAY = 100  # the number of its first touch
AGAIN = 2  # touches more, an enrolment or a session, where some are not good enough

Gate = Callable[[Measures], object]


@dataclass(frozen=True, slots=True, eq=False)
class Finger:
    """`views` enrolled, `captures` of another day; `refused` touches were not good enough.

    `measures` is what the touches that passed offer: minutiae, area (mm2), mean quality of each.
    """

    views: tuple[Prepared, ...]
    captures: tuple[Prepared, ...]
    refused: int
    measures: list[tuple[float, float, float]] = field(default_factory=list)


DESK: Gate = quality.check_reference
BOX: Gate = quality.check_probe


@dataclass(slots=True, eq=False)
class Passed:
    """Touches that passed a gate, prepared and measured, and how many did not."""

    prepared: list[Prepared] = field(default_factory=list)
    measures: list[tuple[float, float, float]] = field(default_factory=list)
    refused: int = 0


def passing(touches: Iterable[Template], wanted: int, gate: Gate) -> Passed:
    """The first so many that pass, and how many did not before that."""
    found = Passed()
    for touch in touches:
        ready = prepare(touch)
        measured = quality.measure(touch, ready)
        try:
            gate(measured)
        except (AskAgain, Refused):
            found.refused += 1
            continue
        found.prepared.append(ready)
        found.measures.append((measured.minutiae, measured.area_mm2, measured.mean_quality or 0.0))
        if len(found.prepared) == wanted:
            break
    return found


def joined(views: Passed, captures: Passed) -> Finger:
    """A finger of what was enrolled and what came later."""
    return Finger(
        tuple(views.prepared),
        tuple(captures.prepared),
        views.refused + captures.refused,
        views.measures + captures.measures,
    )


def finger(number: int, captures: int = CAPTURES, *, folder: Path = kept.FOLDER) -> Finger:
    """The `number`-th virtual finger; a person `p` has those of numbers 2 p and 2 p + 1."""
    sensor = number // 2 % len(population.SENSORS)

    def touches(first: int, count: int) -> Iterable[Template]:
        for touch in range(first, first + count):
            yield templates.template(FIRST_SEED + number, touch, sensor, folder=folder)

    # Another day's touches: their numbers don't depend on how enrolment went.
    return joined(
        passing(touches(0, VIEWS + AGAIN), VIEWS, DESK),
        passing(touches(ANOTHER_DAY, captures + AGAIN), captures, BOX),
    )
