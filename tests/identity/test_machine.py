"""The numbers of a machine's parts, from a tree as the kernel shows it."""

from pathlib import Path

import pytest

from sdbox_agent.identity import machine

ID = "0123456789abcdef" * 2
PCI = "devices/pci0000:00/0000:00:01.0"
USB = "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1:1.0"


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def device(root: Path, entry: str, behind: str, **attributes: str) -> None:
    """An entry of a class, and the device behind it."""
    directory = root / "sys" / entry
    directory.mkdir(parents=True)
    for name, value in attributes.items():
        put(directory, name, f"{value}\n")
    if behind:
        (root / "sys" / behind).mkdir(parents=True, exist_ok=True)
        (directory / "device").symlink_to(root / "sys" / behind)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path, "etc/machine-id", f"{ID}\n")
    put(tmp_path, "sys/firmware/devicetree/base/serial-number", "10000000abcdef01\0")
    device(tmp_path, "block/nvme0n1", f"{PCI}/nvme0", removable="0", wwid="eui.00")
    put(tmp_path, f"sys/{PCI}/nvme0/serial", "S-1 \n")
    device(tmp_path, "block/vda", f"{PCI}/virtio0", removable="0", serial="V-1")
    device(tmp_path, "block/sdb", f"{USB}/host0", removable="0", wwid="usb")
    device(tmp_path, "block/sr0", f"{PCI}/ata1", removable="1", serial="cd")
    device(tmp_path, "block/loop0", "", removable="0", serial="loop")
    for name, behind, kind, address in (
        ("eth0", f"{PCI}/net", "0", "02:00:00:00:00:01"),
        ("eth1", f"{PCI}/net", "3", "02:00:00:00:00:02"),  # set by somebody
        ("eth2", USB, "0", "02:00:00:00:00:03"),
        ("sdbox0", "", "0", "02:00:00:00:00:04"),
        ("ib0", f"{PCI}/net", "0", "80:00:02:08:fe:80:00:00:00:00:00:00"),
    ):
        device(tmp_path, f"class/net/{name}", behind, addr_assign_type=kind, address=address)
    return tmp_path


def test_parts_inside_are_numbered_and_what_comes_and_goes_is_not(root: Path) -> None:
    assert machine.facts(root) == {
        "machine-id": {ID},
        "board": {"10000000abcdef01"},
        "disk": {"S-1", "V-1"},
        "nic": {"02:00:00:00:00:01"},
    }


def test_what_is_not_there_is_not_there(tmp_path: Path) -> None:
    assert machine.facts(tmp_path) == {}
    put(tmp_path, "etc/machine-id", "uninitialized\n")  # machine-id(5), "First Boot Semantics"
    device(tmp_path, "block/vda", f"{PCI}/virtio0", removable="0")
    assert machine.facts(tmp_path) == {}


def test_this_machine_is_the_same_twice() -> None:
    assert machine.facts(Path("/")) == machine.facts(Path("/"))
