"""The processes as they run at the centre: own uids, own network, a real WireGuard interface."""

import pytest

from tests.sdbox_centre.rig import in_own_network


@pytest.mark.rig
def test_a_session_through_both_processes() -> None:
    in_own_network("tests.sdbox_centre.rig_processes", timeout_s=120)


@pytest.mark.rig
def test_two_of_the_api_on_one_database() -> None:
    in_own_network("tests.sdbox_centre.rig_two", timeout_s=120)
