"""A tree laid out as the kernel lays out /sys: what is read of it, and what is not."""

from pathlib import Path

from sdbox_agent.profile import machine
from sdbox_agent.profile.machine import Machine


def put(root: Path, name: str, data: str | bytes) -> None:
    path = root / "sys" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def usb(root: Path, name: str, vendor: str, product: str, kind: str = "00") -> None:
    values = {"idVendor": vendor, "idProduct": product, "bDeviceClass": kind}
    for key, value in values.items():
        put(root, f"bus/usb/devices/{name}/{key}", value + "\n")


def test_a_pc_is_its_dmi_names_and_what_is_plugged_in(tmp_path: Path) -> None:
    put(tmp_path, "class/dmi/id/sys_vendor", "Dell Inc.\n")
    put(tmp_path, "class/dmi/id/product_name", "Wyse 5070 Thin Client \n")
    put(tmp_path, "class/tpm/tpm0/tpm_version_major", "2\n")
    put(tmp_path, "class/rtc/rtc0/name", "rtc_cmos rtc_cmos\n")
    put(tmp_path, "class/drm/card0-DP-1/status", "disconnected\n")
    put(tmp_path, "class/drm/card0-DP-2/status", "connected\n")
    usb(tmp_path, "usb1", "1d6b", "0002", "09")
    usb(tmp_path, "1-1", "05e3", "0608", "09")
    usb(tmp_path, "1-1.2", "04e6", "5116")
    usb(tmp_path, "2-3", "05ba", "0007", "ff")
    put(tmp_path, "bus/usb/devices/1-1.2:1.0/bInterfaceClass", "0b\n")
    seen = machine.look(tmp_path)
    assert seen == Machine(
        vendor="Dell Inc.",
        product="Wyse 5070 Thin Client",
        usb=("04e6:5116", "05ba:0007"),
        tpm=True,
        clock=True,
        screen=True,
    )
    assert seen.name == "Dell Inc. Wyse 5070 Thin Client"


def test_a_board_is_its_device_tree(tmp_path: Path) -> None:
    base = "firmware/devicetree/base"
    put(tmp_path, f"{base}/model", b"Raspberry Pi 4 Model B Rev 1.4\0")
    put(tmp_path, f"{base}/compatible", b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    seen = machine.look(tmp_path)
    assert seen.compatible == ("raspberrypi,4-model-b", "brcm,bcm2711")
    assert seen.name == "Raspberry Pi 4 Model B Rev 1.4"


def test_a_machine_that_says_nothing_has_no_name(tmp_path: Path) -> None:
    assert machine.look(tmp_path) == Machine()
    assert machine.look(tmp_path).name == ""


def test_what_a_device_says_of_itself_is_not_believed_to_be_an_id(tmp_path: Path) -> None:
    usb(tmp_path, "1-1", "04E6", "5116")
    usb(tmp_path, "1-2", "04e6", "51\x1b6")
    usb(tmp_path, "1-3", "", "")
    put(tmp_path, "class/dmi/id/sys_vendor", b"\x1b[2JDell\xff" + b"x" * 9000)
    seen = machine.look(tmp_path)
    assert seen.usb == ()
    assert seen.vendor.startswith("[2JDell")
    assert len(seen.vendor) < machine.MAX_BYTES
