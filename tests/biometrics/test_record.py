"""Any record by what it says of itself, or by the format that is named."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import record
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import reference
from tests.biometrics import published
from tests.biometrics.templates import finger

SMALL = ((published.E, 100, 200, 45, 99),)  # 45 units: 90 degrees in 2004, else 63
OF_2004 = published.of_2004(published.view(2, 80, SMALL))
OF_2005 = published.of_2005(published.view(2, 80, SMALL))
OF_2011 = published.of_2011(published.representation(2, SMALL))


def test_a_record_of_one_view_is_its_template() -> None:
    data = iso.encode(iso.record_of({2: [finger(1)]}, 400, 400))
    assert len(record.decode(data).minutiae) == len(finger(1).minutiae)


@pytest.mark.parametrize("views", [{2: [finger(1), finger(2)]}, {2: [finger(1)], 7: [finger(2)]}])
def test_more_than_one_view_is_refused(views) -> None:
    data = iso.encode(iso.record_of(views, 400, 400))
    with pytest.raises(DecodeError):
        record.decode(data)
    assert len(record.decode_views(data)) == 2


@pytest.mark.parametrize(
    ("data", "named", "angle_steps"),
    [
        (OF_2005, record.ISO_2005, 45 / 256),
        (OF_2011, record.ISO_2011, 45 / 256),
        (OF_2004, record.INCITS_2004, 45 / 180),
    ],
)
def test_each_format_is_read_when_named(data, named, angle_steps) -> None:
    (found,) = record.decode(data, named).minutiae
    assert found.angle_rad == pytest.approx(angle_steps * 2 * 3.14159265358979)
    assert found.quality == 99
    for other in set(record.FORMATS) - {named}:
        with pytest.raises(DecodeError):
            record.decode(data, other)


@pytest.mark.parametrize("data", [OF_2005, OF_2011])
def test_2005_and_2011_say_what_they_are(data) -> None:
    assert len(record.decode(data).minutiae) == 1


@pytest.mark.parametrize("data", [OF_2004, b"", b"FMR\0", b"FMR\x00020\0" + OF_2011[8:], b"{}"])
def test_what_does_not_say_so_is_refused(data) -> None:
    with pytest.raises(DecodeError):
        record.decode(data)


def test_a_format_that_is_none_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="no such format"):
        record.decode(OF_2005, "iso-19794-2")


@pytest.mark.parametrize(
    ("data", "named"),
    [(published.printed_2005(), None), (published.printed_2011(number=0), None)],
)
def test_two_fingers_come_with_their_positions_in_the_records_order(data, named) -> None:
    views = record.decode_views(data, named)
    assert [(position, len(found.minutiae)) for position, found in views] == [(7, 27), (2, 22)]


def test_the_same_example_is_the_same_template_in_either_year() -> None:
    for (_, old), (_, new) in zip(
        record.decode_views(published.printed_2005()),
        record.decode_views(published.printed_2011(number=0)),
        strict=True,
    ):
        assert old == new


@given(st.binary(max_size=80), st.sampled_from([None, *record.FORMATS]))
@example(OF_2004, None)
def test_any_bytes_are_views_or_one_error(data, named) -> None:
    try:
        views = record.decode_views(data, named)
    except DecodeError:
        return
    assert views


def test_a_reference_names_the_format_that_a_box_takes() -> None:
    assert reference.FORMAT == record.ISO_2005
