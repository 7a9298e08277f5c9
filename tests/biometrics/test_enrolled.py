"""An enrolled record is taken for the fingers that were signed, and for its good views only."""

import pytest

from sdbox_agent.biometrics import enrolled
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.errors import Refused
from tests.biometrics.templates import finger


def record(*sizes: int) -> bytes:
    """Two fingers, of views of so many minutiae."""
    found = {p: [finger(10 * p + k, size) for k, size in enumerate(sizes)] for p in (2, 7)}
    return iso.encode(iso.record_of(found, 400, 400))


@pytest.mark.parametrize(("sizes", "usable"), [((45,), 2), ((45, 40), 4), ((45, 8), 2)])
def test_every_good_view_is_used(sizes, usable) -> None:
    assert len(list(enrolled.views(record(*sizes), (7, 2)))) == usable


def test_one_good_view_is_enough_to_begin_with(monkeypatch) -> None:
    made = []
    prepare = enrolled.prepare

    def counted(template):
        made.append(template)
        return prepare(template)

    monkeypatch.setattr(enrolled, "prepare", counted)
    views = enrolled.views(record(8, 45), (2, 7))
    assert len(made) == 2  # the poor one, then a good one
    assert len(list(views)) == 2
    assert len(made) == 4


@pytest.mark.parametrize(
    ("data", "positions", "code"),
    [
        (record(8), (2, 7), "reference-poor"),
        (record(45), (2,), "reference-malformed"),
        (record(45), (2, 7, 8), "reference-malformed"),
        (record(45) + b"\0", (2, 7), "reference-malformed"),
        (b"", (), "reference-malformed"),
    ],
)
def test_what_was_not_signed_for_is_refused(data, positions, code) -> None:
    with pytest.raises(Refused) as refused:
        enrolled.views(data, positions)
    assert refused.value.code == code
