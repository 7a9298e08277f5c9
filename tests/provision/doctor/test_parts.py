"""Users, units, sockets, WireGuard, devices, clock and walls."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.profile import schema
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.doctor import files, parts
from sdbox_agent.provision.doctor.finding import Result
from sdbox_agent.provision.doctor.parts import Node
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.tunnel.killswitch import Walls
from sdbox_agent.tunnel.standing import Standing
from tests.fuzz.fuzz_profile import BOX, LAN, PROFILE, SENSOR

ROOT = Path(__file__).parents[3]
PROFILE_ = schema.parse_profile(PROFILE)
NO_USB = schema.parse_profile(PROFILE.replace(b'usb = ["08e6:4433"]\n', b""))
SENSOR_ = schema.parse_sensor(SENSOR)
SETTINGS = schema.parse_box(BOX + LAN)
PASSWD = "".join(f"{name}:x:{n}:{n}::/:/bin/false\n" for name, n in files.USERS.items())
GROUP = "root:x:0:\nsdbox-peers:x:61005:sdbox-prompt\n"
YEAR = parts.EARLIEST_UTC_S + 10**7
NODE = Node("dev/bus/usb/001/002", 0o600, files.USERS["sdbox-finger"])


def test_the_users_are_those_that_systemd_makes() -> None:
    text = (ROOT / "systemd/sdbox.sysusers").read_text("utf-8")
    made = {name: int(number) for name, number in re.findall(r"(?m)^u (\S+) +(\d+)", text)}
    groups = {name: int(number) for name, number in re.findall(r"(?m)^g (\S+) +(\d+)", text)}
    assert (made, groups) == (files.USERS, files.GROUPS)


def test_the_units_are_those_that_are_shipped() -> None:
    shipped = {path.name for path in (ROOT / "systemd").iterdir()}
    units = {name for name in shipped if name.endswith((".service", ".socket", ".timer"))}
    assert units == set(parts.UNITS)
    wanted = {
        name for name in parts.UNITS if "[Install]" in (ROOT / "systemd" / name).read_text("utf-8")
    }
    assert wanted == set(parts.STARTED_AT_BOOT)


def test_a_user_that_is_missing_or_has_another_number() -> None:
    assert [each.result for each in parts.users(PASSWD, GROUP)] == [Result.OK]
    (found,) = parts.users(PASSWD.replace(":61003:", ":1003:", 1), GROUP)
    assert (found.code, found.detail) == ("user-missing", "sdbox-finger 61003")
    (found,) = parts.users(PASSWD, "nonsense\n")
    assert found.detail == "sdbox-peers 61005"


def test_a_unit_that_is_missing_masked_or_not_enabled() -> None:
    every, boot = {*parts.UNITS, *parts.NEEDED}, set(parts.STARTED_AT_BOOT)
    assert [each.result for each in parts.units(every, (), boot)] == [Result.OK]
    found = parts.units(
        every - {"sdbox-netns.service"}, {"sdbox-walls.service", "pcscd.socket"}, set()
    )
    told = {(each.code, each.detail) for each in found}
    assert ("unit-missing", "sdbox-netns.service") in told
    assert ("unit-missing", "sdbox-walls.service: masked") in told
    assert ("unit-missing", "pcscd.socket: masked") in told
    assert ("unit-not-enabled", "sdbox-agent.service") in told
    assert ("unit-not-enabled", "sdbox-walls.service") not in told


def test_a_socket_that_is_missing() -> None:
    (found,) = parts.sockets(["/run/sdbox/agent.sock"])
    assert (found.code, found.detail) == ("socket-missing", "/run/sdbox/agent.sock")
    assert [each.result for each in parts.sockets([])] == [Result.OK]


@pytest.mark.parametrize(
    ("kernel", "userspace", "tun", "forced", "result", "detail"),
    [
        (True, False, False, False, Result.OK, "kernel"),
        (True, False, False, True, Result.FAILED, "wireguard-go"),
        (False, True, True, False, Result.OK, "wireguard-go"),
        (True, True, True, True, Result.OK, "wireguard-go"),
        (False, True, False, False, Result.FAILED, "/dev/net/tun"),
        (False, False, True, False, Result.FAILED, "wireguard-go"),
    ],
)
def test_some_wireguard(kernel, userspace, tun, forced, result: Result, detail: str) -> None:
    profile = PROFILE_
    if forced:
        profile = schema.parse_profile(PROFILE + b'[network]\nwireguard = "userspace"\n')
    found = parts.wireguard(kernel=kernel, userspace=userspace, tun=tun, profile=profile)
    assert (found.result, found.detail) == (result, detail)


def test_a_module_is_found_by_its_own_line_alone() -> None:
    built = "kernel/drivers/net/wireguard/wireguard.ko.xz: kernel/lib/x.ko\n"
    assert parts.has_module("wireguard", built)
    assert not parts.has_module("wireguard", "kernel/other.ko: kernel/wireguard/wireguard.ko\n")
    assert parts.has_module("tun", "kernel/drivers/net/tun.ko\n")


def test_a_reader_of_the_profile_is_plugged_in() -> None:
    assert parts.reader(PROFILE_, ["1d6b:0002", "08e6:4433"]).result is Result.OK
    assert parts.reader(PROFILE_, ["1d6b:0002"]).code == "reader-missing"
    assert parts.reader(NO_USB, ["08e6:4433"]).reason == "names-no-usb"


def test_one_sensor_and_nobody_else_at_it() -> None:
    plugged = ["04f3:0c26", "1d6b:0002"]
    assert [each.result for each in parts.sensor(SENSOR_, plugged, [NODE])] == [Result.OK]
    for node in (Node(NODE.path, 0o660, NODE.owner), Node(NODE.path, 0o600, 0)):
        (found,) = parts.sensor(SENSOR_, plugged, [node])
        assert (found.code, found.detail) == ("sensor-exposed", NODE.path)
    assert [each.code for each in parts.sensor(SENSOR_, [], [])] == ["sensor-missing"]
    two = parts.sensor(SENSOR_, [*plugged, "04f3:0c26"], [])
    assert [each.code for each in two] == ["sensor-ambiguous"]
    (unknown,) = parts.sensor(msgspec.structs.replace(SENSOR_, usb=()), [], [])
    assert unknown.reason == "names-no-usb"


def test_virtual_hardware_is_the_rigs_alone() -> None:
    (found,) = parts.virtual_hardware(["/etc/reader.conf.d/vpcd"], rig=False)
    assert found.code == "virtual-hardware"
    for fine in (parts.virtual_hardware(["/x"], rig=True), parts.virtual_hardware([], rig=False)):
        assert [each.result for each in fine] == [Result.OK]


@pytest.mark.parametrize(
    ("now", "mark", "synchronised", "served", "code"),
    [
        (YEAR, 0, True, True, ""),
        (YEAR, YEAR - 5, None, True, ""),
        (YEAR, YEAR + 100, True, True, ""),
        (YEAR, YEAR + 3600, True, True, "clock-behind"),
        (0, 0, True, True, "clock-unset"),
        (YEAR, 0, False, True, "clock-drifting"),
        (YEAR, 0, False, False, ""),  # its time comes from the centre alone
    ],
)
def test_a_clock_that_can_be_right(now, mark, synchronised, served, code: str) -> None:
    (found,) = parts.clock(now, mark, synchronised=synchronised, served=served)
    assert found.code == code


def test_walls_that_are_the_settings_and_hang_at_each_uplink() -> None:
    made = walls_of(SETTINGS)
    loaded = networksheet.Loaded(networksheet._expected(made), {})
    standing = Standing((), frozenset({"eth0"}))
    assert parts.walls(SETTINGS, made, loaded, standing, ["lo", "eth0"]).result is Result.OK
    both = ["eth0", "enx00e04c680001"]
    assert parts.walls(SETTINGS, made, loaded, standing, both).detail == both[1]
    for wrong in ((None, standing), (loaded, None), (networksheet.Loaded({}, {}), standing)):
        assert parts.walls(SETTINGS, made, *wrong, ["eth0"]).code == "walls-missing"
    shut = Walls(centre=(), uplinks=())
    none = networksheet.Loaded(networksheet._expected(shut), {})
    assert parts.walls(SETTINGS, shut, none, standing, ["eth0"]).code == "no-uplink"


@given(st.text(), st.text())
def test_any_text_of_the_system_is_judged(one: str, other: str) -> None:
    parts.users(one, other)
    parts.has_module("tun", one)


@pytest.mark.parametrize(
    ("wanted", "there", "result"),
    [
        ("2.0", "2", Result.OK),
        ("2.0", "1", Result.WARN),
        ("2.0", "", Result.WARN),
        ("none", "", Result.OK),
        ("none", "2", Result.OK),  # `profile detect` tells it
        (None, "2", Result.SKIPPED),
        (None, "", Result.SKIPPED),
    ],
)
def test_the_tpm_that_the_profile_names_is_there(
    wanted: str | None, there: str, result: Result
) -> None:
    profile = msgspec.structs.replace(PROFILE_, tpm=schema.Tpm(version=wanted))
    assert parts.tpm(profile, there).result is result
