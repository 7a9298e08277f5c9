"""A box in a virtual machine, from outside: it starts, and what is plugged into it by USB.

Not collected by itself: `python -m hil.vm --box` runs it, in this order, on one machine that is
started once. Centre and gateway are the rig's and stand outside.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hil import scratch
from hil.box import Box
from hil.centre import PROJECTS, Centre
from hil.issuing import Issuing
from hil.net.topology import Topology
from hil.vm.box import disk
from hil.vm.box.guest import BOOT_S, Guest
from sdbox_agent import cli
from sdbox_agent.notify import Event
from sdbox_agent.paths import Paths

BOX = "box-01"
READER_ID = "08e6:4433"
KINDS = ("block", "net", "input", "sound", "tty", "hidraw", "bluetooth", "video4linux")

# driver, what it needs, its id
FOREIGN = {
    "storage": ("usb-storage", {"drive": "stick"}, "46f4:0001"),
    "keyboard": ("usb-kbd", {}, "0627:0001"),
    "tablet": ("usb-wacom-tablet", {}, "056a:0000"),
    "sound": ("usb-audio", {"audiodev": "silence"}, "46f4:0002"),
    "network": ("usb-net", {"netdev": "nowhere"}, "0525:a4a2"),
}

LOOK = r"""
for path in /sys/bus/usb/devices/*; do
    [ -e "$path/idVendor" ] || continue
    read -r vendor <"$path/idVendor"; read -r product <"$path/idProduct"
    read -r let_in <"$path/authorized"
    shopt -s nullglob; faces=("$path"/*:*.*)
    echo "${path##*/} $vendor:$product $let_in ${#faces[@]}"
done
"""


@dataclass
class Field:
    """One machine, its people, and what was measured."""

    guest: Guest
    figures: dict[str, float] = field(default_factory=dict)

    def passed_s(self) -> float:
        """Since QEMU was started."""
        return time.monotonic() - self.guest.started_s

    def status(self, *wanted: str, within_s: int = 90) -> str:
        """What `systemctl status` says of the core, as soon as it is one of these."""
        patterns = "|".join(f'"{one}"*' for one in wanted)
        said = self.guest.said(
            f"""
            for n in $(seq {within_s * 5}); do
                status=$(systemctl show --property=StatusText --value sdbox-agent)
                case "$status" in {patterns}) echo "$status"; exit 0;; esac
                sleep 0.2
            done
            echo "$status"; journalctl --no-pager --boot --lines=40 --output=cat; exit 1
            """,
            BOOT_S,
        )
        assert said.status == 0, said.text
        return said.text.strip()

    def since_start_s(self, moment: str) -> float:
        """When the core's unit came to that, on the kernel's clock."""
        words = f"--value --property={moment}TimestampMonotonic"
        return int(self.guest.run(f"systemctl show sdbox-agent {words}")) / 1e6

    def devices(self) -> dict[str, tuple[str, bool, int]]:
        """What is plugged in: its id, whether it is let in, how many interfaces it has."""
        lines = [line.split() for line in self.guest.run(LOOK).splitlines()]
        return {name: (usb_id, one == "1", int(faces)) for name, usb_id, one, faces in lines}

    def at(self, usb_id: str, there: bool = True) -> str:
        """The port where that id is, once udev has done with it ("": once it is gone)."""
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            self.guest.run("udevadm settle")
            found = [name for name, (one, *_) in self.devices().items() if one == usb_id]
            if bool(found) == there:
                return found[-1] if found else ""
            time.sleep(0.2)
        raise TimeoutError(f"{usb_id}: {self.devices()}")

    def made(self) -> dict[str, list[str]]:
        """What the kernel has made of what is plugged in."""
        text = self.guest.run(
            f"for one in {' '.join(KINDS)}; do echo $one: $(ls /sys/class/$one 2>&-); done"
        )
        return {
            kind: names.split() for kind, _, names in (x.partition(":") for x in text.splitlines())
        }

    def records(self) -> list[dict[str, str]]:
        """What the journal has of refused devices."""
        text = self.guest.run(
            f"journalctl --quiet --boot MESSAGE_ID={Event.USB_REFUSED.value} --output=json"
        )
        return [json.loads(line) for line in text.splitlines()]

    def recorded(self, usb_id: str, port: str, before: int) -> None:
        """One more, of that device, written by the core as its own user."""
        deadline = time.monotonic() + BOOT_S
        while len(self.records()) == before and time.monotonic() < deadline:
            time.sleep(0.2)
        *_, last = records = self.records()
        assert len(records) == before + 1
        assert (last["SDBOX_USB_ID"], last["SDBOX_USB_PORT"]) == (usb_id, port)
        assert (last["_UID"], last["_SYSTEMD_UNIT"]) == ("61001", "sdbox-agent.service")


@pytest.fixture(scope="module")
def box() -> Iterator[Field]:
    image, root = disk.image(), scratch.made("vm")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
        topology = stack.enter_context(Topology(vms=len(PROJECTS)))
        for name in ("centre", "box", "seed"):
            (root / name).mkdir(mode=0o755)
        issuing = Issuing()
        centre = Centre(root / "centre", topology, issuing)
        made = Box(root / "box", BOX, topology, issuing, root / "unused")
        centre.add_box(BOX, made.tls, made.statement)
        centre.start()
        stack.callback(centre.stop)
        seed = root / "seed.ext4"
        disk.seed(seeded(root / "seed", root / "box"), seed)
        guest = stack.enter_context(Guest(image, seed, topology.box))
        there = Field(guest)
        try:
            yield there
        finally:
            for name, value in there.figures.items():
                print(f"  {name}: {value:.1f}")  # noqa: T201


def seeded(root: Path, made: Path) -> Path:
    """What the rig gives each box of its own, as this one wants it, and its rules for USB."""
    for name in ("etc", "var"):
        (made / name).rename(root / name)
    config = Paths(root).config
    settings = config / "box.toml"
    settings.write_text(settings.read_text().replace('"virtual"', '"virtual-machine"'))
    shutil.copy2(disk.HERE / "rig/etc/sdbox/profiles/virtual-machine.toml", config / "profiles")
    assert cli.main(["--root", str(root), "profile", "rules", "--install"]) == 0
    return root


def test_it_starts_and_waits_for_a_card(box: Field) -> None:
    box.guest.run("true", BOOT_S)
    box.figures["start of QEMU to the first word, s of the host"] = box.passed_s()
    assert box.status("Waiting for a card.") == "Waiting for a card."
    box.figures["start of QEMU to 'insert your card', s of the host"] = box.passed_s()
    started_s, ready_s = box.since_start_s("ExecMainStart"), box.since_start_s("ActiveEnter")
    box.figures["the kernel's start to 'insert your card', s of the box"] = ready_s
    box.figures["systemctl start to READY, s of the box"] = ready_s - started_s
    box.guest.run("systemctl is-system-running --wait || true")
    assert box.guest.run("systemctl --failed --plain --no-legend") == ""


def test_what_the_rules_of_readers_go_by_is_set_by_udevs_own(box: Field) -> None:
    text = box.guest.run("cat /usr/lib/udev/rules.d/50-udev-default.rules")
    assert 'ENV{DEVTYPE}=="usb_device", IMPORT{builtin}="usb_id"' in text


def test_controllers_let_nothing_in_by_themselves(box: Field) -> None:
    hubs = box.guest.run("cat /sys/bus/usb/devices/usb*/authorized_default").split()
    assert set(hubs) == {"0"}
    assert len(hubs) == 2  # USB 2 and 3 of one controller


def test_what_was_plugged_in_before_the_start_is_refused_too(box: Field) -> None:
    port = box.at("0627:0001")
    assert box.devices()[port] == ("0627:0001", False, 0)
    (record,) = box.records()
    assert (record["SDBOX_USB_ID"], record["SDBOX_USB_PORT"]) == ("0627:0001", port)
    box.guest.pull("cold")
    box.at("0627:0001", there=False)


@pytest.mark.parametrize("name", list(FOREIGN))
def test_a_foreign_device_is_refused_and_recorded(box: Field, name: str) -> None:
    driver, needs, usb_id = FOREIGN[name]
    made, before = box.made(), len(box.records())
    with box.guest.plugged(driver, name, **needs):
        refused(box, usb_id, made, before)
    box.at(usb_id, there=False)


def refused(box: Field, usb_id: str, made: dict[str, list[str]], before: int) -> None:
    """It is there, and nothing has come of it but a record."""
    port = box.at(usb_id)
    assert box.devices()[port] == (usb_id, False, 0)
    box.recorded(usb_id, port, before)
    assert box.made() == made
    node = box.guest.run(
        f"stat --format='%a %U %G' /dev/$(udevadm info -q name -p /sys/bus/usb/devices/{port})"
    )
    assert node.split() == ["600", "root", "root"]


def test_a_reader_is_let_in_and_is_pcscds_alone(box: Field) -> None:
    box.guest.plug_reader()
    port = box.at(READER_ID)
    assert box.devices()[port][:2] == (READER_ID, True)
    node = box.guest.run("stat --dereference --format='%a %U %G' /dev/sdbox/reader")
    assert node.split() == ["600", "sdbox-pcscd", "root"]
    assert box.guest.run("systemctl is-active dev-sdbox-reader.device").strip() == "active"
