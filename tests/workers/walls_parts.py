"""The keeper of the walls as its unit starts it, and what its service manager hears."""

import socket
import sys
from pathlib import Path

from hil.box import WALLS_UID
from hil.net import linux
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, CENTRE6, UPLINK, Topology
from sdbox_agent.paths import Paths

SETTINGS = f"""v = 1
box = "box-test-01"
profile = "virtual"
[centre]
host = "centre.test"
addresses = ["{CENTRE4}", "{CENTRE6}"]
[lan]
uplinks = ["{UPLINK}", "late0"]
dhcp = false
"""


def settle(root: Path, settings: str = SETTINGS) -> None:
    """Give the box below `root` its settings."""
    config = Paths(root).config
    config.mkdir(parents=True, exist_ok=True)
    (config / "box.toml").write_text(settings)


class Keeper:
    """A running one, and what its service manager hears."""

    def __init__(self, topology: Topology, root: Path) -> None:
        self.box = topology.box
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = root / "notify"
        path.unlink(missing_ok=True)
        self._heard.bind(str(path))
        path.chmod(0o666)
        self._heard.settimeout(30)
        self._log = root / "log"
        self._unit = Unit(
            argv=[sys.executable, "-m", "sdbox_agent.workers.walls", "--root", str(root)],
            network=topology.box,
            uid=WALLS_UID,
            capabilities=(linux.CAP_NET_ADMIN,),
            environment={"NOTIFY_SOCKET": str(path)},
            output=self._log,
        )
        self.process = Process(self._unit)

    def hear(self) -> str:
        return self._heard.recv(400).decode()

    def restart(self) -> None:
        self.process.end()
        self.process = Process(self._unit)
        assert self.hear() == "READY=1"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self) -> None:
        self.process.end()
        self._heard.close()
