"""The gateway as it runs at the centre: what a reload keeps, and who may be beside it."""

import pytest

from tests.sdbox_centre.rig import in_own_network


@pytest.mark.rig
def test_a_gateway_reloaded_under_live_tunnels() -> None:
    in_own_network("tests.sdbox_centre.rig_gateway", timeout_s=240)
