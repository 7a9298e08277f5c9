"""What is plugged in, as the kernel's tree tells it."""

from dataclasses import dataclass, field

import pytest

from sdbox_agent.profile import usbdevices
from sdbox_agent.profile.usbdevices import PLACE, UsbDevice, closed, plugged, ports_on
from tests.fuzz.fuzz_usb_descriptors import KEYBOARD


@dataclass
class Tree:
    """The double of usbdevices.Eyes: paths and what they hold."""

    files: dict[str, bytes] = field(default_factory=dict)

    def names(self, directory: str) -> tuple[str, ...]:
        inside = (name.removeprefix(f"{directory}/") for name in self.files)
        return tuple(sorted({name.split("/")[0] for name in inside}))

    def data(self, name: str) -> bytes:
        return self.files.get(name, b"")

    def plug(self, name: str, usb_id: str = "046d:c31c", **facts: bytes) -> None:
        vendor, _, product = usb_id.partition(":")
        said = {"idVendor": vendor.encode(), "idProduct": product.encode(), **facts}
        self.files |= {f"{PLACE}/{name}/{fact}": value + b"\n" for fact, value in said.items()}


def test_a_device_is_all_that_the_kernel_says_of_it() -> None:
    tree = Tree()
    tree.plug("1-1.2", busnum=b"1", devnum=b"12", bDeviceClass=b"00", authorized=b"1")
    tree.files[f"{PLACE}/1-1.2/descriptors"] = KEYBOARD
    tree.plug("1-1", "05e3:0608", bDeviceClass=b"09")
    tree.plug("2-3", "0781:5567", authorized=b"0")
    hub, keyboard, stick = plugged(tree)
    assert keyboard == UsbDevice("1-1.2", "046d:c31c", False, 1, 12, ("030101", "030000"))
    assert keyboard.node == "dev/bus/usb/001/012"
    assert (hub.hub, hub.let_in, hub.interfaces) == (True, True, ())
    assert (stick.hub, stick.let_in) == (False, False)


@pytest.mark.parametrize("name", ["usb1", "1-1:1.0", "1-", "x", "1-1."])
def test_controllers_and_interfaces_are_no_devices(name: str) -> None:
    tree = Tree()
    tree.plug(name)
    assert plugged(tree) == ()


@pytest.mark.parametrize("usb_id", ["046D:c31c", "046d:c3\x1b1c", ":", "046d:c31c0"])
def test_what_says_no_id_is_none(usb_id: str) -> None:
    tree = Tree()
    tree.plug("1-1", usb_id)
    assert plugged(tree) == ()


@pytest.mark.parametrize("number", [b"x", b"", b"12345", b"-1"])
def test_a_number_that_is_none_leads_to_no_node(number: bytes) -> None:
    tree = Tree()
    tree.plug("1-1", busnum=number, devnum=number)
    assert [each.node for each in plugged(tree)] == ["dev/bus/usb/000/000"]


def test_descriptors_that_can_not_be_read_are_of_no_interface() -> None:
    tree = Tree()
    tree.plug("1-1", descriptors=b"short")
    assert [each.interfaces for each in plugged(tree)] == [()]


def test_no_more_are_listed_than_a_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usbdevices, "MAX_DEVICES", 2)
    tree = Tree()
    for n in range(1, 5):
        tree.plug(f"1-{n}")
    assert [each.port for each in plugged(tree)] == ["1-1", "1-2"]


@pytest.mark.parametrize(
    ("said", "shut"),
    [((), True), ((b"0",), True), ((b"0", b"0"), True), ((b"0", b"1"), False), ((b"",), False)],
)
def test_a_machine_is_closed_if_each_controller_is(said: tuple[bytes, ...], *, shut: bool) -> None:
    tree = Tree()
    tree.plug("1-1", authorized_default=b"1")  # a hub's own says nothing
    for n, value in enumerate(said, 1):
        tree.plug(f"usb{n}", authorized_default=value)
    assert closed(tree) is shut


def test_a_path_tells_the_hubs_that_it_leads_through() -> None:
    path = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.0/net/enx0"
    assert ports_on(path) == ("1-1", "1-1.2")
    assert ports_on("/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0") == ()
