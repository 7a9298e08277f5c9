"""The checked-in profiles hold; anything wrong in one is one error with its line."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.profile import schema
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.terms import Level
from tests.fuzz.fuzz_profile import BOX, LAN, target

PROFILES = sorted((Path(__file__).parents[2] / "firmware_profiles").glob("*.toml"))
VIRTUAL = next(p for p in PROFILES if p.stem == "virtual").read_text("utf-8")


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_every_checked_in_profile_is_valid_and_names_itself(path: Path) -> None:
    assert schema.parse_profile(path.read_bytes()).name == path.stem


def test_the_virtual_profile_says_what_the_rig_has() -> None:
    profile = schema.parse_profile(VIRTUAL.encode())
    assert profile.levels == (Level.CARD_MATCH, Level.HOST_MATCH, Level.CARD_PIN)
    assert profile.sensor == "virtual-image"
    assert profile.card.kinds == ("piv-match", "piv-match-7816", "piv-pin", "piv-free")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("v = 1", "v = 2", "v"),
        ('"virtual"', '"../virtual"', "name"),
        ('["card-match", ', '["host-match", ', "levels"),
        ('["card-match", ', '["guessing", ', "levels"),
        ('"virtual-image"', '"../virtual-image"', "sensor"),
        ('kinds = ["piv-match", ', 'kinds = ["../piv", ', "card.kinds"),
        ('kinds = ["piv-match", ', 'kinds = ["piv-free", ', "card.kinds"),
        ('names = ["Virtual PCD"]', 'names = ["a\\nb"]', "reader.names"),
        ('names = ["Virtual PCD"]', 'names = ["x"]\ninterface = "contactless"', "reader.interface"),
        ('"kernel-or-userspace"', '"kernel"', "network.wireguard"),
        ('wireguard = "kernel', 'wire = "kernel', "network.wire"),
    ],
)
def test_a_wrong_field_is_refused_with_its_line_and_name(old: str, new: str, word: str) -> None:
    text = VIRTUAL.replace(old, new)
    assert text != VIRTUAL
    with pytest.raises(TomlRefused) as caught:
        schema.parse_profile(text.encode())
    assert caught.value.reason.startswith(word)
    line = text.splitlines()[caught.value.line - 1]
    assert re.match(rf"\s*{word.rpartition('.')[2]}\b", line), line


@given(st.sampled_from(VIRTUAL.splitlines()), st.text(max_size=30))
def test_any_line_replaced_by_anything_gives_a_profile_or_one_error(line: str, text: str) -> None:
    target(VIRTUAL.replace(line, text).encode("utf-8", "replace"))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_one_error(data: bytes) -> None:
    target(data)


def test_box_toml_says_which_box_this_is() -> None:
    box = schema.parse_box(BOX)
    assert (box.box, box.language, box.centre.url) == (
        "box-test-01",
        "fr",
        "https://centre.test:8443",
    )


@pytest.mark.parametrize(
    ("host", "url"), [("10.1.2.3", "https://10.1.2.3:8443"), ("fd00::1", "https://[fd00::1]:8443")]
)
def test_the_centre_may_be_an_address(host: str, url: str) -> None:
    centre = schema.parse_box(BOX.replace(b"centre.test", host.encode())).centre
    assert (centre.url, centre.is_named) == (url, False)
    assert schema.parse_box(BOX).centre.is_named


@pytest.mark.parametrize(
    "evil", ["centre.test/x", "user@centre.test", "centre.test:99", "", "a b", "-x", "x\\u000a"]
)
def test_the_centre_is_a_host_and_nothing_more(evil: str) -> None:
    with pytest.raises(TomlRefused) as caught:
        schema.parse_box(BOX.replace(b"centre.test", evil.encode()))
    assert caught.value.reason.startswith("centre.host")


def test_the_hosts_network_is_addresses_and_devices() -> None:
    lan = schema.parse_box(BOX + LAN).lan
    assert (lan.uplinks, lan.dhcp) == (("eth0", "enx00e04c680001"), False)
    assert schema.parse_box(BOX).lan == schema.Lan(), "no uplink: nothing passes"


@pytest.mark.parametrize(
    ("good", "evil", "where"),
    [
        ("eth0", "eth 0", "lan.uplinks"),
        ("eth0", 'x\\" } ; accept', "lan.uplinks"),
        ("192.0.2.53", "192.0.2.530", "lan.resolvers"),
        ("192.0.2.53", "dns.example", "lan.resolvers"),
        ("2001:db8:2::7b", "2001:db8:2:7b", "lan.time_servers"),
        ("2001:db8:2::/64", "2001:db8:2::1/64", "lan.prefixes"),
        ("2001:db8:2::/64", "192.0.2.0/24", "lan.prefixes"),
        ("2001:db8:2::/64", "fe80::/64", "lan.prefixes"),
        ("2001:db8:2::/64", "::/0", "lan.prefixes"),
        ("10.0.0.1", "10.0.0.256", "centre.addresses"),
    ],
)
def test_what_is_no_device_or_address_is_refused_with_its_line(
    good: str, evil: str, where: str
) -> None:
    text = (BOX + LAN).decode()
    assert good in text
    with pytest.raises(TomlRefused) as caught:
        schema.parse_box(text.replace(good, evil).encode())
    assert caught.value.reason.startswith(where)
    assert caught.value.line > 1


@pytest.mark.parametrize(
    ("address", "shown"),
    [("192.0.2.9", "192.0.2.9:3128"), ("2001:db8::9", "[2001:db8::9]:3128")],
)
def test_the_hosts_proxy_is_an_address_and_a_port(address: str, shown: str) -> None:
    proxy = f'[proxy]\naddress = "{address}"\nport = 3128\n'.encode()
    assert str(schema.parse_box(BOX + proxy).proxy) == shown
    assert schema.parse_box(BOX).proxy is None


@pytest.mark.parametrize(
    "evil",
    ["proxy.test", "127.0.0.1", "192.0.2.256", "0.0.0.0", "ff02::1", "fe80::1", "2001:DB8::9"],
)
def test_a_proxy_that_no_box_can_call_is_refused_with_its_line(evil: str) -> None:
    with pytest.raises(TomlRefused) as caught:
        schema.parse_box(BOX + f'[proxy]\naddress = "{evil}"\nport = 3128\n'.encode())
    assert caught.value.reason.startswith("proxy.address")


# -- kinds of card -----------------------------------------------------------------------------

KINDS = sorted((Path(__file__).parents[2] / "firmware_profiles/cards").glob("*.toml"))
LIBRARY = next(p for p in KINDS if p.stem == "piv-pkcs11").read_text("utf-8")
DIRECT = next(p for p in KINDS if p.stem == "piv-pin").read_text("utf-8")


@pytest.mark.parametrize("path", KINDS, ids=lambda p: p.stem)
def test_every_checked_in_kind_is_valid_and_names_itself(path: Path) -> None:
    kind = schema.parse_kind(path.read_bytes())
    assert kind.name == kind.kind.name == path.stem


def test_a_kind_reached_by_a_library_may_name_one_token() -> None:
    kind = schema.parse_kind((LIBRARY + 'token_serial = "0123456789abcdef"\n').encode()).kind
    assert kind.token_serial == "0123456789abcdef"
    assert schema.parse_kind(LIBRARY.encode()).kind.token_serial == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (re.sub("(?m)^module.*$", "", LIBRARY), "module: missing"),
        (LIBRARY.replace("/usr/lib", "lib"), "module"),
        (LIBRARY.replace('"host"', '"card"'), "comparison: no library reaches 96 and 97"),
        (DIRECT + 'module = "/usr/lib/x.so"\n', "module: only with access pkcs11"),
        (DIRECT + 'token_serial = "1"\n', "token_serial: only with access pkcs11"),
        (LIBRARY + 'token_serial = "0123456789abcdef0"\n', "token_serial"),
    ],
)
def test_a_kind_that_contradicts_itself_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TomlRefused, match=re.escape(reason)):
        schema.parse_kind(text.encode())


# -- sensors -----------------------------------------------------------------------------------

SENSORS = sorted((Path(__file__).parents[2] / "firmware_profiles/sensors").glob("*.toml"))
IMAGE = next(p for p in SENSORS if p.stem == "virtual-image").read_text("utf-8")
UNUSABLE = {
    "aes3500",
    "egis0570",
    "elan",
    "nb1010",
    "uareu-4500",
    "upektc-img",
    "vfs301",
    "vfs7552",
}


@pytest.mark.parametrize("path", SENSORS, ids=lambda p: p.stem)
def test_every_checked_in_sensor_is_valid_and_names_itself(path: Path) -> None:
    assert schema.parse_sensor(path.read_bytes()).name == path.stem


def test_a_sensor_whose_resolution_nobody_knows_is_of_no_kind() -> None:
    for path in SENSORS:
        sensor = schema.parse_sensor(path.read_bytes())
        assert (sensor.ppmm is None) == (sensor.name in UNUSABLE)
        if sensor.ppmm is None:
            with pytest.raises(ValueError, match="ppmm"):
                _ = sensor.kind
        else:
            assert sensor.kind.driver == sensor.driver


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("ppmm = 19.685", "ppmm = nan", "ppmm"),
        ("ppmm = 19.685", "ppmm = 0.0", "ppmm"),
        ("ppmm = 19.685", "ppmm = 500.0", "ppmm"),
        ("min_width_px = 96", "min_width_px = 8", "min_width_px"),
        ("max_width_px = 1000", "max_width_px = 95", "max_width_px"),
        ("min_height_px = 96\nmax_height_px = 1000", "min_height_px = 99\nmax_height_px = 98",
         "min_height_px"),
        ('"virtual_image"', '"virtual-image"', "driver"),
        ("v = 1", "v = 1\nenrols = 1", "enrols"),
        ("v = 1", "v = 1\nmin_minutiae = -1", "min_minutiae"),
        ("v = 1", 'v = 1\nusb = ["04F3:0c26"]', "usb"),
        ("v = 1", "v = 1\ndpi = 500", "dpi"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_sensor_is_refused_with_its_line_and_name(
    old: str, new: str, word: str
) -> None:
    text = IMAGE.replace(old, new)
    assert text != IMAGE
    with pytest.raises(TomlRefused) as caught:
        schema.parse_sensor(text.encode())
    assert caught.value.reason.startswith(word)
    assert re.match(rf"{word}\b", text.splitlines()[caught.value.line - 1])
