"""Any one-view record, by what it says of itself."""

import pytest

from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import record
from sdbox_agent.errors import DecodeError
from tests.biometrics.templates import finger


def test_a_record_of_one_view_is_its_template() -> None:
    data = iso.encode(iso.record_of({2: [finger(1)]}, 400, 400))
    assert len(record.decode(data).minutiae) == len(finger(1).minutiae)


@pytest.mark.parametrize("views", [{2: [finger(1), finger(2)]}, {2: [finger(1)], 7: [finger(2)]}])
def test_more_than_one_view_is_refused(views) -> None:
    with pytest.raises(DecodeError):
        record.decode(iso.encode(iso.record_of(views, 400, 400)))
