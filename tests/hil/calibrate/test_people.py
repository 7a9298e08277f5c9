import itertools
from pathlib import Path

import pytest

from hil.calibrate import people, templates
from hil.finger import population
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.minutia import Minutia, Template
from sdbox_agent.errors import AskAgain, Refused


def _template(minutiae: int, quality: int = 50) -> Template:
    """As many as asked, spread over 14 x 14 mm."""
    return Template(
        tuple(
            Minutia(40.0 * (k % 7), 40.0 * (k // 7), (k * 0.7) % 6, quality=quality)
            for k in range(minutiae)
        )
    )


GOOD, POOR = _template(42), _template(5)


def test_a_touch_that_fails_is_taken_again_a_few_times() -> None:
    found = people.passing([POOR, GOOD, POOR, GOOD, GOOD], 2, people.BOX)
    assert [len(p.points) for p in found.prepared] == [42, 42]
    assert found.refused == 2
    assert [minutiae for minutiae, _, _ in found.measures] == [42, 42]


def test_no_more_are_taken_than_wanted() -> None:
    touches = itertools.repeat(GOOD)
    found = people.passing(touches, 3, people.DESK)
    assert (len(found.prepared), found.refused) == (3, 0)


def test_the_gates_are_those_of_desk_and_box() -> None:
    poor = quality.measure(POOR, people.prepare(POOR))
    with pytest.raises(Refused):
        people.DESK(poor)
    with pytest.raises(AskAgain):
        people.BOX(poor)


def test_captures_are_other_touches_than_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []

    def template(seed: int, number: int, sensor: int, *, folder: Path) -> Template:
        asked.append((seed, number, sensor))
        return GOOD

    monkeypatch.setattr(templates, "template", template)
    fingers = [people.finger(number, folder=tmp_path) for number in range(10)]
    assert all(len(f.views) == 3 and len(f.captures) == 3 and f.refused == 0 for f in fingers)
    assert len(set(asked)) == len(asked) == 60
    sensors = [
        {sensor for seed, _, sensor in asked if seed == s} for s in sorted({a[0] for a in asked})
    ]
    assert all(len(of_finger) == 1 for of_finger in sensors)
    assert sensors[0::2] == sensors[1::2], "both fingers of a person on one sensor"
    assert set.union(*sensors) == set(range(len(population.SENSORS)))
