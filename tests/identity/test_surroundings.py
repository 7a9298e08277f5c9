"""The gateway's link address, and what is on which cable: from files as the kernel writes them."""

import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net.namespace import Claim
from sdbox_agent.identity.surroundings import facts, gateway
from tests.waiting import until

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
NEIGHBOURS = "IP address       HW type     Flags       HW address            Mask     Device\n"
MAC = "02:00:00:00:00:fe"
OTHER = "02:00:00:00:00:01"
LITTLE = "010200C0"  # 192.0.2.1, as a little-endian kernel prints it; all that Debian 12 boots here


def route(
    *, to: str = "00000000", via: str = LITTLE, flags: str = "0003", metric: str = "0", **where: str
) -> str:
    device, mask = where.get("device", "eth0"), where.get("mask", "00000000")
    return f"{device}\t{to}\t{via}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def neighbour(
    address: str = "192.0.2.1", mac: str = MAC, flags: str = "0x2", device: str = "eth0"
) -> str:
    return f"{address}         0x1         {flags}         {mac}     *        {device}\n"


def found(routes: str, *neighbours: str) -> str:
    return gateway(HEAD + routes, NEIGHBOURS + "".join(neighbours))


@pytest.mark.parametrize(
    ("routes", "neighbours", "mac"),
    [
        (route(), (neighbour(),), MAC),
        (route(), (neighbour("192.0.2.9", OTHER), neighbour()), MAC),
        (route(), (neighbour(mac=MAC.upper()),), MAC),
        (route(to="000200C0", mask="00FFFFFF") + route(), (neighbour(),), MAC),
        (  # of several the kernel takes the lowest metric
            route(via="090200C0", metric="600") + route(metric="100"),
            (neighbour("192.0.2.9", OTHER), neighbour()),
            MAC,
        ),
        ("", (neighbour(),), ""),  # no network
        (route(flags="0002"), (neighbour(),), ""),  # down
        (route(via="00000000", flags="0001"), (neighbour(),), ""),  # no gateway: a line
        (route(mask="00FFFFFF"), (neighbour(),), ""),  # no default
        (route(metric="low"), (neighbour(),), ""),
        (route(via="x"), (neighbour(),), ""),
        (route(), (), ""),  # nothing has gone its way yet
        (route(), (neighbour(flags="0x0", mac="00:00:00:00:00:00"),), ""),  # it does not answer
        (route(), (neighbour(mac="00:00:00:00:00:00"),), ""),
        (route(), (neighbour(flags="x"),), ""),
        (route(), (neighbour(device="eth1"),), ""),  # the same address on another cable
        (route(), ("192.0.2.1 0x1 0x2\n",), ""),
        (route(), (neighbour(mac="02:00"),), ""),
    ],
)
def test_the_gateway_is_the_neighbour_that_the_default_route_names(
    routes: str, neighbours: tuple[str, ...], mac: str
) -> None:
    assert found(routes, *neighbours) == mac


LINES = st.lists(
    st.builds(route) | st.builds(neighbour) | st.text(alphabet="0123 \txeth\n:af-", max_size=60)
)


@given(LINES.map("".join) | st.text(), LINES.map("".join) | st.text())
def test_whatever_stands_there_it_is_a_link_address_or_nothing(routes: str, arp: str) -> None:
    assert re.fullmatch(r"|[0-9a-f]{2}(:[0-9a-f]{2}){5}", gateway(HEAD + routes, NEIGHBOURS + arp))


def plug(root: Path, port: str, usb_id: str, serial: str | None = None, **more: str) -> None:
    device = root / "sys/bus/usb/devices" / port
    device.mkdir(parents=True)
    vendor, product = usb_id.split(":")
    said = {"idVendor": vendor, "idProduct": product, "authorized": "1", "serial": serial, **more}
    for name, value in said.items():
        if value is not None:
            (device / name).write_text(f"{value}\n")


def test_readers_and_sensors_are_known_by_id_serial_number_and_port(tmp_path: Path) -> None:
    plug(tmp_path, "1-2", "04e6:5116", "A1")
    plug(tmp_path, "1-3.1", "05ba:000a")
    plug(tmp_path, "1-4", "04e6:5116", "A2", authorized="0")  # refused: it is none
    plug(tmp_path, "usb1", "1d6b:0002", "hub")
    plug(tmp_path, "1-5", "0781:5567", "storage")
    assert facts(tmp_path, ("04e6:5116",), ("05ba:000a",)) == {
        "reader": {"04e6:5116 A1 1-2"},
        "sensor": {"05ba:000a  1-3.1"},
    }
    assert facts(tmp_path, (), ()) == {}


def test_the_gateway_is_read_of_this_process_s_own_network(tmp_path: Path) -> None:
    tables = tmp_path / "proc/self/net"
    tables.mkdir(parents=True)
    (tables / "route").write_text(HEAD + route())
    assert facts(tmp_path, (), ()) == {}
    (tables / "arp").write_text(NEIGHBOURS + neighbour())
    assert facts(tmp_path, (), ()) == {"gateway": {MAC}}


@pytest.mark.rig
def test_so_the_kernel_writes_them(tmp_path: Path) -> None:
    """Debian's own, in a namespace: before and after something has gone by the gateway."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/net").symlink_to("/proc/thread-self/net")  # `run` is a thread
    claim = Claim()
    try:
        box, host = claim.namespace("box"), claim.namespace("host")
        box.ip(f"link add eth0 type veth peer name eth0 netns {host.name} address {MAC}")
        for namespace, last in ((box, 2), (host, 1)):
            namespace.ip(f"address add 192.0.2.{last}/24 dev eth0", "link set eth0 up")
        box.ip("route add default via 192.0.2.1 metric 100")

        def look() -> object:
            return facts(tmp_path, (), ())

        assert box.run(look) == {}
        sender = box.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(b"", ("198.51.100.1", 9))
        until(lambda: box.run(look) == {"gateway": {MAC}})
        sender.close()
        box.ip("route del default")
        assert box.run(look) == {}
    finally:
        claim.release()
