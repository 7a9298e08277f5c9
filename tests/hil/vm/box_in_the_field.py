"""A box in a virtual machine, from outside: its start, and what is plugged into it by USB.

Not collected by itself: `python -m hil.vm --box` runs it, in this order, on one machine that is
started once.
"""

import contextlib
import time
from collections.abc import Callable

from hil.vm.box.guest import BOOT_S
from tests.hil.vm.field import IDLE, LOOKS, READER_ID, Field, Plugged

HUB_ID, KEYBOARD_ID, STICK_ID = "0409:55aa", "0627:0001", "46f4:0001"
# A driver of QEMU's, what it needs, its id.
FOREIGN = {
    "storage": ("usb-storage", {"drive": "stick"}, STICK_ID),
    "keyboard": ("usb-kbd", {}, KEYBOARD_ID),
    "tablet": ("usb-wacom-tablet", {}, "056a:0000"),
    "sound": ("usb-audio", {"audiodev": "silence"}, "46f4:0002"),
    "network": ("usb-net", {"netdev": "nowhere"}, "0525:a4a2"),
    "serial": ("usb-serial", {"chardev": "line", "always_plugged": True}, "0403:6001"),
}


def refused(usb_id: str) -> Plugged:
    """There, without an interface; its node is root's."""
    return Plugged(usb_id, let_in=False, interfaces=0, node="600:root:root")


def wait(what: Callable[[], bool]) -> None:
    assert any(what() for _ in range(LOOKS)), "it did not come"


# -- its start -------------------------------------------------------------------------------------


def test_it_starts_and_waits_for_a_card(there: Field) -> None:
    passed_s = lambda: time.monotonic() - there.guest.started_s  # noqa: E731
    there.guest.run("true", BOOT_S)
    there.figures["start of QEMU to the first word, s of the host"] = passed_s()
    there.guest.run("systemctl is-system-running --wait || true", BOOT_S)
    assert there.status(IDLE) == IDLE
    there.figures["start of QEMU to 'insert your card', s of the host"] = passed_s()
    begun_s, ready_s = there.since_start_s("ExecMainStart"), there.since_start_s("ActiveEnter")
    there.figures["the kernel's start to 'insert your card', s of the box"] = ready_s
    there.figures["systemctl start to READY, s of the box"] = ready_s - begun_s
    assert there.guest.run("systemctl --failed --plain --no-legend") == ""


# -- its USB ---------------------------------------------------------------------------------------


def test_what_the_rules_of_readers_match_is_set_by_udevs_own_before_them(there: Field) -> None:
    own = there.guest.run("cd /usr/lib/udev/rules.d; echo *; cat 50-udev-default.rules")
    assert 'ENV{DEVTYPE}=="usb_device", IMPORT{builtin}="usb_id"' in own
    names = own.splitlines()[0].split()
    assert names.index("50-udev-default.rules") < names.index("71-sdbox-readers.rules")


def test_controllers_let_nothing_in_by_themselves(there: Field) -> None:
    hubs = there.guest.run("cat /sys/bus/usb/devices/usb*/authorized_default").split()
    assert set(hubs) == {"0"}
    assert len(hubs) == 2  # USB 2 and 3 of one controller


def test_what_was_plugged_in_before_the_start_is_refused_too(there: Field) -> None:
    ((port, one),) = there.devices().items()
    assert one == refused(KEYBOARD_ID)
    (record,) = there.records()
    assert (record["SDBOX_USB_ID"], record["SDBOX_USB_PORT"]) == (KEYBOARD_ID, port)
    there.guest.pull("cold")
    there.at(KEYBOARD_ID, there=False)


def test_foreign_devices_are_refused_and_recorded(there: Field) -> None:
    """All of them at once, and one behind a hub, which is let in itself."""
    made, told = there.made(), len(there.records())
    wanted = sorted([*(usb_id for *_, usb_id in FOREIGN.values()), KEYBOARD_ID])
    with contextlib.ExitStack() as plugged:
        plugged.enter_context(there.guest.plugged("usb-hub", "hub", port="3"))
        for name, (driver, needs, _) in FOREIGN.items():
            plugged.enter_context(there.guest.plugged(driver, name, **needs))
        hub = there.at(HUB_ID)
        there.guest.plug("usb-kbd", "behind", port="3.1")
        wait(lambda: len(there.records()) == told + len(wanted))
        seen = there.devices()
        assert seen.pop(hub) == Plugged(HUB_ID, True, 1, "664:root:root")
        assert f"{hub}.1" in seen
        assert sorted(one.usb_id for one in seen.values()) == wanted
        assert [one for one in seen.values() if one != refused(one.usb_id)] == []
        assert there.made() == made, "no device of any kind has come of it"
        records = there.records()[told:]
        assert {one["SDBOX_USB_PORT"]: one["SDBOX_USB_ID"] for one in records} == {
            port: one.usb_id for port, one in seen.items()
        }
        by = {(one["_UID"], one["_SYSTEMD_UNIT"], one["PRIORITY"]) for one in records}
        assert by == {("61001", "sdbox-agent.service", "5")}, "the core, as its own user"
    wait(lambda: there.devices() == {})


def test_the_kernel_would_have_made_a_disk_of_it(there: Field) -> None:
    """The control: authorised by hand, by root, the very stick that was refused is one."""
    made = there.made()
    driver, needs, usb_id = FOREIGN["storage"]
    with there.guest.plugged(driver, "control", **needs):
        port = there.at(usb_id)
        there.guest.run(f"echo 1 >/sys/bus/usb/devices/{port}/authorized")
        wait(lambda: len(there.made()["block"]) == len(made["block"]) + 1)
    wait(lambda: there.made() == made)


def test_a_reader_is_let_in_and_is_pcscds_alone(there: Field) -> None:
    there.guest.plug_reader()
    port = there.at(READER_ID)
    one = there.devices()[port]
    assert (one.let_in, one.interfaces, one.node) == (True, 1, "600:sdbox-pcscd:root")
    said = there.guest.run("udevadm info --query=property --name=/dev/sdbox/reader")
    assert "ID_USB_INTERFACES=:0b0000:\n" in said, "what the rule goes by"
    assert there.guest.run("systemctl is-active dev-sdbox-reader.device").strip() == "active"
