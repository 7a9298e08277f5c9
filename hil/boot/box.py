"""A box that is booted: the rig's hands find everything where they know it from the launcher's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from hil.box import Box
from hil.launch.wire import Seen
from hil.net.topology import BOX4, BOX6, UPLINK
from sdbox_agent.paths import Paths
from sdbox_agent.provision.doctor.parts import STARTED_AT_BOOT

if TYPE_CHECKING:
    from hil.boot.machine import Machine
    from hil.issuing import Issuing
    from hil.net.topology import Topology

SENSOR: Final = "/run/sensor"
DROP_INS: Final = "/etc/systemd/system"
# What a rig's box has that no other has, file by file. Its network is brought up from inside.
RIG: Final = {
    "/etc/sdbox/rig": "",
    "/etc/tmpfiles.d/rig.conf": f"d {SENSOR} 0755 sdbox-finger sdbox-finger -\n",
    # libfprint's virtual sensor is a socket that the finger process makes.
    f"{DROP_INS}/sdbox-finger@.service.d/rig.conf": "[Service]\n"
    f"Environment=FP_VIRTUAL_IMAGE={SENSOR}/image.sock\nReadWritePaths={SENSOR}\n",
    # vpcd's cards come by TCP, over loopback.
    f"{DROP_INS}/pcscd.service.d/rig.conf": "[Service]\n"
    "RestrictAddressFamilies=AF_INET\nIPAddressAllow=localhost\n",
    "/etc/systemd/network/uplink.network": f"[Match]\nName={UPLINK}\n"
    "[Link]\nRequiredForOnline=no\n"
    f"[Network]\nAddress={BOX4}/24\nAddress={BOX6}/64\n"
    "LinkLocalAddressing=no\nIPv6AcceptRA=no\nLLMNR=no\nMulticastDNS=no\n",
    # A setup's part: see docs/doctor.md.
    "/etc/systemd/journald.conf.d/bound.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=64M\n",
}


class BootedBox(Box):
    """The box in a container, provisioned there while it runs and has no settings yet."""

    def __init__(
        self, machine: Machine, name: str, topology: Topology, issuing: Issuing, *, by_hand: bool
    ) -> None:
        """Settings, keys and state, as the launcher's; then what RIG says; then units enabled.

        `by_hand`: else set-up is yet to make a box of it.
        """
        self.machine = machine
        pcscd = Path("/run/pcscd/pcscd.comm")
        super().__init__(machine.root, name, topology, issuing, pcscd, by_hand=by_hand)
        for path, text in RIG.items():
            machine.write(path, text)
        if by_hand:
            machine.run("sdbox-agent", "profile", "rules", "--install")
        enabled = STARTED_AT_BOOT if by_hand else ()
        machine.run("systemctl", "enable", "systemd-networkd.service", *enabled)
        self._found()

    @override
    def _places(self) -> None:
        """They are the package's."""

    def _found(self) -> None:
        self._root = self.machine.root
        self.paths = Paths(self._root)
        self.sensor_socket = self._root / SENSOR.lstrip("/") / "image.sock"

    @override
    def start(self) -> None:
        """Boot it: its device comes up in there, once the walls stand."""
        self.boot()
        self.wait_ready()
        self.walled()

    def boot(self) -> None:
        """The same of a machine that is no box yet: it has no walls."""
        self._topology.box.ip(f"addr flush dev {UPLINK}", f"link set {UPLINK} down")
        self._topology.box.nft("flush ruleset")
        self.machine.boot()
        self._found()

    @override
    def stop(self) -> None:
        self.machine.halt()

    @override
    def units(self) -> dict[str, Seen]:
        """Every service of ours that has been started, by its name without `.service`."""
        listed = self.machine.run(
            *("systemctl", "list-units", "--all", "--plain", "--no-legend", "--type=service"),
            "sdbox-*",
        )
        return {
            name.removesuffix(".service"): self._seen(self.machine.show(name))
            for name in (line.split()[0] for line in listed.splitlines())
        }

    @staticmethod
    def _seen(shown: dict[str, str]) -> Seen:
        pids = [int(shown["MainPID"])] if shown.get("MainPID", "0") != "0" else []
        ready = shown["ActiveState"] == "active"
        return Seen(pids, int(shown.get("NRestarts", "0")), ready, shown.get("StatusText", ""))

    @override
    def pid(self, unit: str) -> int:
        return self.machine.pid(f"{unit}.service")

    @override
    def log(self, unit: str) -> str:
        said = self.machine.ask("journalctl", "--boot", "--no-pager", f"--unit={unit}")
        return said[1]

    @override
    def prompt(self, line: str, *options: str) -> int:
        """`sdbox-agent pin`, as root calls it; its exit status."""
        return self.machine.ask("sdbox-agent", "pin", "--stdin", *options, given=line + "\n")[0]
