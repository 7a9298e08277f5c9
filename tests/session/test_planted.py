"""Faults planted in the machine are found: the exploration bites."""

import pytest

from tests.session.explore import explore
from tests.session.planted import FAULTS, Fault

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_caught(fault: Fault) -> None:
    assert explore(fault, stop_at_first=True).broken
