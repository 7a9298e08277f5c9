from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.calibrate import templates
from sdbox_agent.biometrics.minutia import Minutia, MinutiaType, Template

_ONE = Minutia(10.5, 20.25, 1.5, MinutiaType.ENDING, 44)
_TWO = Minutia(0.0, 300.0, 6.2, MinutiaType.BIFURCATION, 0)


@pytest.mark.parametrize(
    "template", [Template(()), Template((_ONE, _TWO)), Template((_ONE,), (_TWO, _ONE))]
)
def test_a_template_comes_back_whole(template: Template) -> None:
    assert templates.of(templates.arrays(template)) == template


def test_a_template_that_has_grown_is_not_kept_by_half() -> None:
    @dataclass(frozen=True)
    class Grown:
        minutiae: tuple[Minutia, ...] = ()
        second: tuple[Minutia, ...] = ()
        pores: tuple[int, ...] = ()

    with pytest.raises(TypeError, match="grown"):
        templates.arrays(Grown())  # type: ignore[arg-type]


def test_a_touch_is_extracted_once_and_again_with_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def extracted(seed: int, number: int, sensor: object) -> Template:
        asked.append(number)
        return Template((_ONE,))

    monkeypatch.setattr(templates, "_extracted", extracted)
    for _ in range(2):
        assert templates.template(1, 7, 0, folder=tmp_path).minutiae == (_ONE,)
    assert asked == [7]
    monkeypatch.setattr(templates, "key", lambda: "other code")
    templates.template(1, 7, 0, folder=tmp_path)
    assert asked == [7, 7]


@pytest.mark.rig
def test_a_virtual_touch_has_minutiae_and_libfprint_is_in_the_key(tmp_path: Path) -> None:
    found = templates.template(1, 2, 1, folder=tmp_path)
    assert len(found.minutiae) >= 12
    assert not templates.key().endswith("none")
    assert templates.template(1, 2, 1, folder=tmp_path).minutiae == found.minutiae
