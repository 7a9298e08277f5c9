"""A reload of the rig's gateway, as its service manager would do it."""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hil.centre import GATEWAY_UID, START_S
from sdbox_agent.errors import Fault
from sdbox_centre.gateway_wire import GatewayClient

if TYPE_CHECKING:
    from hil.centre import Centre


def reload_gateway(centre: Centre) -> None:
    """It takes up its program and settings anew; until that one answers."""
    laid_out = Path(f"/proc/{centre.gateway.pid}/auxv")  # drawn anew by each execve(2)
    before = laid_out.read_bytes()
    centre.gateway.kill(signal.SIGHUP)
    deadline = time.monotonic() + START_S
    with GatewayClient(centre.root / "gateway/gateway.sock", GATEWAY_UID) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(Fault):
                if laid_out.read_bytes() != before:
                    client.remove(["nobody/1"])
                    return
            time.sleep(0.02)
    raise TimeoutError("the gateway does not answer")
