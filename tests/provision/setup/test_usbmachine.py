"""USB as setup finds it: a tree as the kernel lays it out, and what udev is told."""

import os
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.provision.setup import command
from sdbox_agent.provision.setup.usbmachine import UDEVADM, UsbMachine
from tests.fuzz.fuzz_usb_descriptors import KEYBOARD
from tests.provision.setup.test_machine import said, write

__all__ = ["said"]  # a fixture

BUS = "sys/devices/pci0000:00/0000:00:14.0/usb1"
COMMAND_LINE = "sys/module/usbcore/parameters/authorized_default"
KEYS = "1000000000007 ff9f207ac14057ff febeffdfffefffff fffffffffffffffe"  # of a keyboard
BUTTON = "10000000000000 0"  # of a power button


class Governed(UsbMachine):
    """As if this root were the machine's own, and udevd ran."""

    governed = True  # type: ignore[assignment]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One controller with a hub, and behind it a keyboard, a stick, and a network device."""
    place = tmp_path / "sys/bus/usb/devices"
    place.mkdir(parents=True)
    for path, usb_id in (
        ("usb1", "1d6b:0002"), ("usb1/1-1", "05e3:0608"), ("usb1/1-1/1-1.2", "046d:c31c"),
        ("usb1/1-2", "0781:5567"), ("usb1/1-3", "0bda:8153"),
    ):  # fmt: skip
        device = tmp_path / Path(BUS).parent / path
        vendor, product = usb_id.split(":")
        facts = {"idVendor": vendor, "idProduct": product, "authorized": "1"}
        facts |= {"authorized_default": "1"} if path == "usb1" else {}
        for fact, value in facts.items():
            write(device / fact, f"{value}\n")
        (place / device.name).symlink_to(device)
    (tmp_path / BUS / "1-1/1-1.2/descriptors").write_bytes(KEYBOARD)
    write(tmp_path / COMMAND_LINE, "-1\n")
    classed(tmp_path, "input/input4", "1-1/1-1.2/1-1.2:1.0", **{"capabilities/key": KEYS})
    classed(tmp_path, "input/input0", "../../../LNXSYSTM:00", **{"capabilities/key": BUTTON})
    classed(tmp_path, "input/input5", "1-2/1-2:1.1", **{"capabilities/key": ""})
    for name, number in (("sda", "8:0"), ("sda1", "8:1"), ("sda2", "8:2")):
        classed(tmp_path, f"block/{name}", f"1-2/1-2:1.0/host0/{name[:3]}", dev=number)
    classed(tmp_path, "net/eth1", "1-3/1-3:1.0", flags="0x1002")
    classed(tmp_path, "net/eth0", "../0000:00:19.0", flags="0x1003")
    write(tmp_path / "proc/self/mountinfo", "22 1 259:1 / / rw,relatime - ext4 /dev/nvme0n1p1 rw\n")
    return tmp_path


def classed(root: Path, name: str, on: str, **facts: str) -> None:
    """A device of a class, where it is on the bus, and the class's link to it."""
    device = (root / BUS / on).resolve() / name
    device.mkdir(parents=True)
    for fact, value in facts.items():
        write(device / fact, f"{value}\n")
    link = root / "sys/class" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(device)


def test_a_disk_that_does_not_run_has_nothing_plugged_in(root: Path, said) -> None:
    one = UsbMachine(root)
    assert (one.governed, one.plugged(), one.uses()) == (False, (), {})
    assert said == []


def test_only_where_udevd_runs_does_udev_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[bool] = []
    monkeypatch.setattr(Path, "exists", lambda _: there[-1])
    for runs in (True, False):
        there.append(runs)
        assert UsbMachine(Path("/")).governed is runs


def test_what_is_plugged_in_is_seen_with_its_interfaces(root: Path) -> None:
    found = {each.port: each for each in Governed(root).plugged()}
    assert list(found) == ["1-1", "1-1.2", "1-2", "1-3"]
    assert found["1-1.2"].interfaces == ("030101", "030000")


def test_a_keyboard_is_depended_on_and_so_is_the_hub_that_it_hangs_on(root: Path) -> None:
    assert Governed(root).uses() == {"1-1": ("keyboard",), "1-1.2": ("keyboard",)}


@pytest.mark.parametrize(
    ("name", "text", "disk"),
    [
        ("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/root rw", "sda1"),
        ("proc/self/mountinfo", "22 1 0:40 / / rw shared:1 - btrfs /dev/sda2 rw", "sda2"),
        ("proc/swaps", "Filename\tType\n/dev/sda2 partition 1 0 -2", "sda2"),
        (f"{BUS}/1-2/1-2:1.0/host0/sda/block/sda1/holders/dm-0", "", "sda1"),
    ],
    ids=["mounted", "btrfs", "swap", "under LUKS or LVM"],
)
def test_a_disk_is_that_is_mounted_or_on_which_another_rests(
    root: Path, name: str, text: str, disk: str
) -> None:
    assert "1-2" not in Governed(root).uses(), "a stick that nobody uses may go"
    write(root / name, text + "\n")
    assert Governed(root).uses()["1-2"] == (f"disk {disk}",)


def test_the_terminal_is_at_which_the_operator_sits(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classed(root, "tty/ttyUSB0", "1-3/1-3:1.0/ttyUSB0")
    assert "1-3" not in Governed(root).uses()
    monkeypatch.setattr(os, "ttyname", {0: "/dev/ttyUSB0"}.__getitem__)
    assert Governed(root).uses()["1-3"] == ("terminal ttyUSB0",)


def test_a_network_device_is_that_is_up(root: Path) -> None:
    assert "1-3" not in Governed(root).uses()
    write(root / BUS / "1-3/1-3:1.0/net/eth1/flags", "0x1003\n")
    assert Governed(root).uses()["1-3"] == ("network eth1",)


def test_udev_reads_its_rules_and_judges_anew_and_is_waited_for(root: Path, said) -> None:
    Governed(root).obey()
    assert [argv[:2] for argv in said] == [
        (UDEVADM, "control"), (UDEVADM, "trigger"), (UDEVADM, "settle"),
    ]  # fmt: skip


def test_a_udev_that_does_not_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "said", lambda *_: 1)
    with pytest.raises(Fault, match="usb-rules-idle"):
        Governed(root).obey()


def shut(root: Path) -> None:
    for name in ("usb1/authorized_default", "1-2/authorized", "1-1/authorized"):
        write(root / "sys/bus/usb/devices" / name, "0\n")


def test_all_is_let_in_again_devices_before_controllers(root: Path, said) -> None:
    one = Governed(root)
    assert (one.closed(), one.held_back()) == (False, False)
    one.open()
    shut(root)
    assert (one.closed(), one.held_back()) == (True, True)
    one.open()
    assert (one.closed(), one.held_back()) == (False, False)
    assert all(each.let_in for each in one.plugged())
    assert [argv[1:] for argv in said] == [("control", "--reload")] * 2


def test_a_device_that_can_not_be_let_in_keeps_no_other_out(
    root: Path, said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut(root)
    write_text = Path.write_text

    def refused(path: Path, text: str) -> int:
        if path.parts[-2:] == ("1-1", "authorized"):
            raise OSError(5, "does not answer")
        return write_text(path, text)

    monkeypatch.setattr(Path, "write_text", refused)
    Governed(root).open()
    assert {each.port for each in Governed(root).plugged() if not each.let_in} == {"1-1"}
    assert not Governed(root).held_back()


@pytest.mark.parametrize("said_there", ["0", "2", ""])
def test_what_the_command_line_says_stays(root: Path, said, said_there: str) -> None:
    shut(root)
    write(root / COMMAND_LINE, said_there)
    assert not Governed(root).held_back()
    Governed(root).open()
    assert Governed(root).closed()
