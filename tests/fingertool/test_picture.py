"""The picture: to one scale, every pair at its two places, what is alone paler."""

import io

import numpy as np
import pytest

from sdbox_agent.biometrics.comparison import explain, prepare
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.fingertool import paper, picture
from sdbox_agent.fingertool.files import Image
from sdbox_agent.fingertool.pairing import pairing
from tests.biometrics.templates import finger, moved

Pillow = pytest.importorskip("PIL.Image")
WORDS = picture.Caption("verdict", True, "because", "left", "right", "both", "one", "area", "tick")


def drawn(probe: Template, reference: Template, *, images: bool, words=WORDS) -> np.ndarray:
    a, b = prepare(probe), prepare(reference)
    blank = Image(np.full((380, 380), 255, dtype=np.uint8), 500.0) if images else None
    data = picture.draw((a, blank), (b, blank), pairing(a, b, explain(a, b)), words)
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


def count(found: np.ndarray, *colours: tuple[int, int, int]) -> int:
    return sum(int((found == colour).all(axis=2).sum()) for colour in colours)


def test_every_pair_of_one_finger_is_marked_at_both_places() -> None:
    probe, reference = moved(finger(1), 0.2, (10.0, 5.0)), finger(1)
    a, b = prepare(probe), prepare(reference)
    seen = pairing(a, b, explain(a, b))
    found = drawn(probe, reference, images=True)
    scale = min(picture.PANEL[0] / 19.304, picture.PANEL[1] / 19.304)
    assert len(seen.pairs) == 45
    right = picture.MARGIN + scale * 19.304 + picture.GAP
    for pair in seen.pairs:
        for corner, (x, y) in ((picture.MARGIN, pair.probe_px), (right, pair.reference_px)):
            at_x = corner + x * 0.0508 * scale
            at_y = picture.HEAD + y * 0.0508 * scale
            disc = found[round(at_y) - 9 : round(at_y) + 10, round(at_x) - 9 : round(at_x) + 10]
            assert count(disc, *picture.PAIRS) > 80, pair  # of 200: a number stands on it


def test_what_is_found_in_one_only_is_grey() -> None:
    reference = finger(1)
    alone = count(drawn(moved(reference, 0.2), reference, images=False), paper.GREY)
    strangers = count(drawn(finger(2), reference, images=False), paper.GREY)
    assert strangers > alone + 1500


def test_without_images_the_paper_holds_every_minutia() -> None:
    found = drawn(finger(1), finger(1), images=False)
    assert found.shape[1] <= 2 * picture.PANEL[0] + picture.GAP + 2 * picture.MARGIN + 2
    assert count(found, paper.SKY) > 500  # the border of what both show


def test_the_verdict_wears_its_colour() -> None:
    reference = finger(1)
    no = picture.Caption(
        "verdict", False, "because", "left", "right", "both", "one", "area", "tick"
    )
    for words, colour in ((WORDS, paper.GREEN), (no, paper.RED)):
        assert count(drawn(reference, reference, images=False, words=words)[:60], colour) > 100


@pytest.mark.parametrize("probe", [Template(()), Template(finger(1).minutiae[:1])])
def test_fingers_with_nothing_to_pair_are_drawn_all_the_same(probe: Template) -> None:
    found = drawn(probe, finger(1), images=False)
    assert count(found, paper.RED, paper.PURPLE, paper.ORANGE) == 0
    assert count(found, paper.GREY) > 500
