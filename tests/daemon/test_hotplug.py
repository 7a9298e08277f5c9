"""Devices come once and go once, whatever udev repeats or forgets."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import pyudev
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.daemon import hotplug
from sdbox_agent.daemon.hotplug import Came, Table, UsbDevice, Went
from tests.waiting import until

ROLES: dict[str, hotplug.Role] = {"08e6:4433": "reader", "05ba:000a": "sensor"}
READER = {
    "PRODUCT": "8e6/4433/100",
    "ID_VENDOR_ID": "08e6",
    "ID_MODEL_ID": "4433",
    "BUSNUM": "001",
    "DEVNUM": "004",
}
SENSOR = {"PRODUCT": "5ba/a/102"}
STICK = {"PRODUCT": "781/5567/126"}
PATH = "/sys/devices/usb1/1-1"


def test_a_device_is_identified_on_add_and_remembered_until_remove() -> None:
    table = Table(ROLES)
    device = UsbDevice(PATH, "08e6:4433", "reader", "001/004")
    assert table.apply("add", PATH, READER) == (Came(device),)
    for action in ("change", "bind", "unbind"):
        assert table.apply(action, PATH, {}) == ()
    assert table.devices == (device,)
    assert table.apply("remove", PATH, {}) == (Went(device),)  # its ids are gone by now
    assert table.apply("remove", PATH, {}) == ()
    assert table.devices == ()


def test_a_device_in_no_profile_is_seen_and_is_nothing_to_us() -> None:
    (came,) = Table(ROLES).apply("add", PATH, STICK)
    assert came == Came(UsbDevice(PATH, "0781:5567", "other", "/"))


def test_only_a_sensor_is_news_of_sensors() -> None:
    table = Table(ROLES)
    news = table.apply("add", PATH, STICK) + table.apply("add", f"{PATH}.1", READER)
    assert hotplug.sensors_now(news, table.devices) is None
    for port, there in ((2, 1), (3, 2)):
        news = table.apply("add", f"{PATH}.{port}", {**SENSOR, "DEVNUM": str(port)})
        assert hotplug.sensors_now(news, table.devices) == there
    news = table.apply("change", f"{PATH}.2", {**SENSOR, "DEVNUM": "2", "authorized": "0"})
    assert hotplug.sensors_now(news, table.devices) == 1
    news = table.apply("remove", PATH, {})
    assert hotplug.sensors_now(news, table.devices) is None
    news = table.apply("remove", f"{PATH}.3", {})
    assert hotplug.sensors_now(news, table.devices) == 0


def test_who_is_refused_is_told_once_and_again_when_that_changes() -> None:
    table = Table(ROLES)
    refused = {**STICK, "authorized": "0"}
    (came,) = table.apply("add", "/sys/devices/usb1/1-1.4", refused)
    assert (came.device.refused, came.device.port) == (True, "1-1.4")
    for action in ("add", "change", "bind"):
        assert table.apply(action, "/sys/devices/usb1/1-1.4", refused) == ()
    let_in = {**STICK, "authorized": "1"}
    assert table.apply("bind", "/sys/devices/usb1/1-1.4", let_in) == ()
    news = table.apply("change", "/sys/devices/usb1/1-1.4", let_in)
    assert [(type(one), one.device.refused) for one in news] == [(Went, True), (Came, False)]
    assert table.apply("change", "/sys/devices/usb1/1-9", refused) == ()  # never seen to come


def test_an_add_without_its_remove_tells_both() -> None:
    table = Table(ROLES)
    table.apply("add", PATH, READER)
    assert [type(news) for news in table.apply("add", PATH, SENSOR)] == [Went, Came]
    assert [device.role for device in table.devices] == ["sensor"]


def test_an_echo_of_add_is_not_a_new_device_but_another_address_is() -> None:
    table = Table(ROLES)
    table.apply("add", PATH, READER)
    assert table.apply("add", PATH, READER) == ()  # `udevadm trigger`
    again = table.apply("add", PATH, {**READER, "DEVNUM": "005"})
    assert [type(news) for news in again] == [Went, Came]


def test_fault_51_a_sensor_that_comes_back_with_another_serial_is_another_device() -> None:
    """Whatever it says of itself: a new address is enough. The process that waits is renewed."""
    table = Table(ROLES)
    before = {**SENSOR, "BUSNUM": "001", "DEVNUM": "004", "ID_SERIAL_SHORT": "a"}
    table.apply("add", PATH, before)
    assert table.apply("remove", PATH, {})
    (came,) = table.apply("add", PATH, {**before, "DEVNUM": "005", "ID_SERIAL_SHORT": "b"})
    assert isinstance(came, Came)
    again = table.apply("add", PATH, {**before, "DEVNUM": "006"})  # and where a `remove` was lost
    assert [type(news) for news in again] == [Went, Came]
    assert [device.role for device in table.devices] == ["sensor"]


@pytest.mark.parametrize(
    ("properties", "usb_id"),
    [
        (READER, "08e6:4433"),
        (SENSOR, "05ba:000a"),
        ({"ID_VENDOR_ID": "05ba", "ID_MODEL_ID": "000a"}, "05ba:000a"),
        ({"PRODUCT": "5BA/a/102"}, None),
        ({"PRODUCT": "5ba/a"}, None),
        ({"PRODUCT": "5ba/a/1\n"}, None),
        ({"ID_VENDOR_ID": "05ba"}, None),
        ({}, None),
    ],
)
def test_ids_are_read_from_the_kernel_or_from_udev(
    properties: dict[str, str], usb_id: str | None
) -> None:
    assert hotplug.identify(properties) == usb_id


EVENTS = st.tuples(
    st.sampled_from(["add", "remove", "change", "bind", "unbind", "move", ""]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([READER, SENSOR, STICK, {}]),
)


@given(st.lists(EVENTS, max_size=30))
def test_what_came_and_did_not_go_is_what_is_there(
    events: list[tuple[str, str, dict[str, str]]],
) -> None:
    table, there = Table(ROLES), set[UsbDevice]()
    for event in events:
        for news in table.apply(*event):
            if isinstance(news, Came):
                assert news.device not in there
                there.add(news.device)
            else:
                there.remove(news.device)
    assert set(table.devices) == there


def test_after_lost_events_a_listing_tells_the_difference() -> None:
    table = Table(ROLES)
    table.apply("add", "a", READER)
    table.apply("add", "b", SENSOR)
    news = table.reconcile({"b": READER, "c": STICK})
    assert [(type(n), n.device.sys_path) for n in news] == [
        (Went, "a"),
        (Went, "b"),
        (Came, "b"),
        (Came, "c"),
    ]
    assert table.reconcile({"b": READER, "c": STICK}) == ()


def test_the_monitor_opens_where_no_udevd_runs() -> None:
    monitor = hotplug.Monitor(ROLES)
    monitor.refresh()
    assert monitor.read() == ()
    assert monitor.fileno() > 2


@pytest.mark.rig
def test_the_kernels_own_events_arrive_without_udevd() -> None:
    """The kernel repeats an event on request; USB there is none, so it is the loopback's."""
    monitor = hotplug.Monitor(ROLES, "kernel")
    monitor._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source="kernel")
    monitor._monitor.filter_by("net")
    monitor._monitor.start()
    Path("/sys/class/net/lo/uevent").write_text("add")
    loopback = until(lambda: [one for one in monitor._waiting() if one.sys_name == "lo"])
    assert [str(one.action) for one in loopback] == ["add"]


SCENE = """
    import select, gi
    gi.require_version("UMockdev", "1.0")
    from gi.repository import UMockdev
    from sdbox_agent.daemon import hotplug

    bed = UMockdev.Testbed.new()
    def plug(name, product, vendor, model, authorized="1"):
        return bed.add_device("usb", name, None,
            ["idVendor", vendor, "idProduct", model, "authorized", authorized],
            ["DEVTYPE", "usb_device", "PRODUCT", product])

    there = plug("1-1", "8e6/4433/100", "08e6", "4433")
    monitor = hotplug.Monitor({"08e6:4433": "reader", "05ba:000a": "sensor"}, "udev")
    print("list", [(type(n).__name__, n.device.usb_id, n.device.role) for n in monitor.refresh()])

    def told(count):  # and nothing for a while after so many
        news = []
        while select.select([monitor], [], [], 0.3 if len(news) == count else 30)[0]:
            news += monitor.read()
        return [(type(n).__name__, n.device.role) for n in news]

    sensor = plug("1-2", "5ba/a/102", "05ba", "000a")
    for action in ("add", "change", "bind"):
        bed.uevent(sensor, action)
    print("plug", told(1))
    for path in (sensor, there):
        bed.uevent(path, "unbind")
        bed.uevent(path, "remove")
        bed.remove_device(path)
    print("pull", told(2))
    stick = plug("1-3", "781/5567/126", "0781", "5567", "0")
    bed.uevent(stick, "add")
    told(1)
    print("refused", [(d.usb_id, d.port, d.refused) for d in monitor.table.devices])
    bed.set_attribute(stick, "authorized", "1")
    bed.uevent(stick, "change")
    told(2)
    print("let in", [(d.usb_id, d.refused) for d in monitor.table.devices])
    bed.uevent(stick, "remove")
    bed.remove_device(stick)
    told(1)
    seen = 0
    for n in range(20):  # umockdev's own queue holds ten
        for m in range(5):
            bed.uevent(plug(f"2-{n}.{m}", "781/5567/126", "0781", "5567"), "add")
        seen += len(monitor.read())
    print("flood", seen, len(monitor.table.devices))
"""


@pytest.mark.skipif(not shutil.which("umockdev-wrapper"), reason="umockdev is not installed")
def test_devices_played_by_umockdev_come_and_go() -> None:
    done = subprocess.run(
        ["umockdev-wrapper", sys.executable, "-c", textwrap.dedent(SCENE)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "list [('Came', '08e6:4433', 'reader')]",
        "plug [('Came', 'sensor')]",
        "pull [('Went', 'sensor'), ('Went', 'reader')]",
        "refused [('0781:5567', '1-3', True)]",
        "let in [('0781:5567', False)]",
        "flood 100 100",
    ]
