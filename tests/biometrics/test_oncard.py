"""What goes to a card that compares: chosen, ordered and placed as its BIT asks."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.biometrics import compact_2005 as compact
from sdbox_agent.biometrics import oncard
from sdbox_agent.biometrics.minutia import PPI, Minutia, MinutiaType, Template
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import AskAgain, DecodeError, Refused
from tests.biometrics.templates import finger, templates

PX = PPI / 25.4 / 10  # pixels in 0.1 mm


def bit(minimum: int = 12, maximum: int = 60, order: int = 0x09) -> Bit:
    return Bit(key="96", position=2, minimum=minimum, maximum=maximum, order=order)


def at(*places: tuple[float, float], angle: float = 0.0, kind=MinutiaType.ENDING) -> Template:
    """Minutiae at places in 0.1 mm."""
    return Template(tuple(Minutia(x * PX, y * PX, angle, kind) for x, y in places))


def sent(template: Template, wanted: Bit) -> list[tuple[int, int, int]]:
    return [(m.x, m.y, m.angle) for m in compact.decode(oncard.probe(template, wanted))]


# -- order ---------------------------------------------------------------------------------------


def polar(m, found) -> tuple[int, int]:
    middle_x = sum(x for x, _, _ in found) // len(found)
    middle_y = sum(y for _, y, _ in found) // len(found)
    return (m[0] - middle_x) ** 2 + (m[1] - middle_y) ** 2, m[2]


BY = {
    0x04: lambda m, _: (m[0], m[1]),
    0x08: lambda m, _: (m[1], m[0]),
    0x0C: lambda m, _: (m[2],),
    0x10: polar,
}


@pytest.mark.parametrize(("method", "direction"), [*itertools.product(BY, (1, 2))])
@given(st.integers(0, 50))
def test_minutiae_come_in_the_order_asked_for(method, direction, seed) -> None:
    found = sent(finger(seed), bit(order=method | direction))
    keys = [BY[method](m, found) for m in found]
    assert keys == sorted(keys, reverse=direction == 2)
    assert sorted(found) == sorted(sent(finger(seed), bit(order=0)))


def test_without_an_order_they_come_as_found() -> None:
    places = [(40, 90), (10, 10), (70, 30)]
    xs = [x for x, _, _ in sent(at(*places), bit(minimum=1, order=0))]
    assert [x - xs[1] for x in xs] == [30, 0, 60]


def test_an_order_nobody_knows_is_refused() -> None:
    for order in set(range(256)) - oncard.ORDERS.keys():
        with pytest.raises(Refused) as refused:
            oncard.probe(finger(1), bit(order=order))
        assert refused.value.code == "card-data-invalid"


def test_every_order_of_the_standard_is_known() -> None:
    assert oncard.ORDERS.keys() == {0, 5, 6, 9, 10, 13, 14, 17, 18}


# -- number --------------------------------------------------------------------------------------


def test_the_farthest_from_the_middle_of_all_go_first() -> None:
    """The centre of mass is that of all: the far one pulls it, and goes alone."""
    kept = sent(at((0, 0), (10, 0), (20, 0), (200, 0)), bit(minimum=1, maximum=3))
    assert [x - kept[0][0] for x, _, _ in kept] == [0, 10, 20]


def test_the_poorest_go_before_the_farthest() -> None:
    places = at((0, 0), (10, 0), (20, 0), (200, 0)).minutiae
    found = Template(
        tuple(replace(m, quality=q) for m, q in zip(places, (50, 20, 50, 50), strict=True))
    )
    kept = sent(found, bit(minimum=1, maximum=3))
    assert [x - kept[0][0] for x, _, _ in kept] == [0, 20, 200]


def test_of_equals_an_ending_goes_first_then_the_largest_angle() -> None:
    ending = at((0, 0)).minutiae
    bifurcation = at((20, 0), kind=MinutiaType.BIFURCATION).minutiae
    (left,) = compact.decode(oncard.probe(Template(ending + bifurcation), bit(1, 1)))
    assert left.type is MinutiaType.BIFURCATION
    wide = at((20, 0), angle=1.0).minutiae
    for order in (ending + wide, wide + ending):
        (left,) = compact.decode(oncard.probe(Template(order), bit(1, 1)))
        assert left.angle == 0


@pytest.mark.parametrize(("count", "enough"), [(11, False), (12, True)])
def test_too_few_minutiae_are_never_made_more(count, enough) -> None:
    if enough:
        assert len(sent(finger(3, count), bit())) == count
        return
    with pytest.raises(AskAgain) as asked:
        oncard.probe(finger(3, count), bit())
    assert asked.value.code == "finger-poor"


def test_a_minutia_is_sent_once() -> None:
    """Two that fall on one place of the coarser grid, and one that repeats another."""
    repeated = at((0, 0), (0.2, 0.2), (50, 50), (50, 50))
    assert len(sent(repeated, bit(minimum=1))) == 2


def test_a_card_that_asks_for_more_than_it_takes_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        oncard.probe(finger(1), bit(minimum=20, maximum=19))
    assert refused.value.code == "card-data-invalid"


def test_no_minutia_at_all_is_a_poor_finger() -> None:
    with pytest.raises(AskAgain):
        oncard.probe(Template(()), bit(minimum=1))


# -- place ---------------------------------------------------------------------------------------


@given(templates, st.integers(1, 30), st.integers(0, 60), st.sampled_from(sorted(oncard.ORDERS)))
def test_a_probe_is_what_the_card_takes_or_none_is_made(template, minimum, more, order) -> None:
    wanted = bit(minimum, minimum + more, order)
    try:
        data = oncard.probe(template, wanted)
    except AskAgain:
        return
    assert minimum <= len(compact.decode(data)) <= minimum + more


@pytest.mark.parametrize(("width", "kept"), [(255, 3), (256, 2)])
@pytest.mark.parametrize("across", [True, False])
def test_nothing_lies_beyond_25_5_mm(width, kept, across) -> None:
    places = [(0, 0), (20, 0), (width, 0)]
    found = sent(at(*(p if across else p[::-1] for p in places)), bit(minimum=1))
    assert len(found) == kept


def test_the_print_lies_in_the_middle_wherever_it_was() -> None:
    places = [(0, 0), (100, 0), (50, 60)]
    for dx, dy in ((0, 0), (900, -900), (-0.4, 3000)):
        found = sent(at(*((x + dx, y + dy) for x, y in places)), bit(minimum=1))
        assert {(x, y) for x, y, _ in found} == {(77, 97), (177, 97), (127, 157)}


def test_an_angle_just_short_of_a_turn_is_none() -> None:
    ((_, _, angle),) = sent(at((0, 0), angle=math.radians(357.3)), bit(minimum=1))
    assert angle == 0
    ((_, _, angle),) = sent(at((0, 0), angle=math.radians(357.1)), bit(minimum=1))
    assert angle == 63


# -- reference -----------------------------------------------------------------------------------


def test_a_reference_is_made_as_a_probe_is() -> None:
    assert oncard.reference(finger(4), bit()) == oncard.probe(finger(4), bit())


def test_a_reference_no_probe_could_match_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        oncard.reference(at(*((x, x % 7) for x in range(0, 60, 3))), bit())
    assert refused.value.code == "reference-poor"


# -- and back, for tools -------------------------------------------------------------------------


def test_what_a_card_was_sent_is_the_same_finger_moved_and_rounded() -> None:
    whole = finger(1)
    kept = oncard.template(oncard.probe(whole, bit(order=0)))
    assert len(kept.minutiae) == len(whole.minutiae)
    moves = [
        (b.x_px - a.x_px, b.y_px - a.y_px)
        for a, b in zip(whole.minutiae, kept.minutiae, strict=True)
    ]
    for dx, dy in moves:
        assert dx == pytest.approx(moves[0][0], abs=PX + 1e-9)  # each rounded to 0.1 mm
        assert dy == pytest.approx(moves[0][1], abs=PX + 1e-9)
    for a, b in zip(whole.minutiae, kept.minutiae, strict=True):
        assert abs(math.remainder(a.angle_rad - b.angle_rad, 2 * math.pi)) <= math.pi / 64 + 1e-9
        assert (a.type, b.quality) == (b.type, 0)


def test_what_is_no_list_is_refused() -> None:
    with pytest.raises(DecodeError):
        oncard.template(b"\x01\x01")
