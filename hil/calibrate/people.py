"""Who decisions are made about: enrolled views of two fingers, and touches to be let in by.

A person's touches pass the gates a box and a desk have; a touch that fails one is taken again, as a
person would be asked, a few times. Virtual people: two fingers grown apart (a real person's two
fingers are a little more alike than that), both always on one sensor, a quarter of the people on
each kind.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hil.calibrate import kept, templates
from hil.finger import population
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.errors import AskAgain, Refused

FIRST_SEED = 9_000_000  # fingers that nothing else of the project has seen
VIEWS, CAPTURES = 3, 3
AGAIN = 2  # touches more, an enrolment or a session, where some are not good enough

Gate = Callable[[Template, Prepared], object]


@dataclass(frozen=True, slots=True, eq=False)
class Finger:
    """`views` enrolled, `captures` of another day; `refused` touches were not good enough."""

    views: tuple[Prepared, ...]
    captures: tuple[Prepared, ...]
    refused: int


def reference_gate(template: Template, prepared: Prepared) -> None:
    """The desk's."""
    quality.check_reference(quality.measure(template, prepared))


def probe_gate(template: Template, prepared: Prepared) -> None:
    """The box's."""
    quality.check_probe(quality.measure(template, prepared))


def passing(
    touches: Iterable[Template], wanted: int, gate: Gate
) -> tuple[tuple[Prepared, ...], int]:
    """The first so many that pass, prepared, and how many did not before that."""
    good: list[Prepared] = []
    refused = 0
    for touch in touches:
        ready = prepare(touch)
        try:
            gate(touch, ready)
        except (AskAgain, Refused):
            refused += 1
            continue
        good.append(ready)
        if len(good) == wanted:
            break
    return tuple(good), refused


def finger(number: int, captures: int = CAPTURES, *, folder: Path = kept.FOLDER) -> Finger:
    """The `number`-th virtual finger; a person `p` has those of numbers 2 p and 2 p + 1."""
    sensor = number // 2 % len(population.SENSORS)

    def touches(first: int, count: int) -> Iterable[Template]:
        for touch in range(first, first + count):
            yield templates.template(FIRST_SEED + number, touch, sensor, folder=folder)

    views, poor = passing(touches(0, VIEWS + AGAIN), VIEWS, reference_gate)
    # Another day's touches: their numbers don't depend on how enrolment went.
    later, also_poor = passing(touches(100, captures + AGAIN), captures, probe_gate)
    return Finger(views, later, poor + also_poor)
