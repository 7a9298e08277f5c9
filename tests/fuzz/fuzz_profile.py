"""Profiles, drop-ins, kinds of card, sensors, box.toml: a value, or TomlRefused with a line."""

import contextlib
from pathlib import Path

from sdbox_agent.profile import field, layers, schema, toml
from sdbox_agent.profile.layers import Layer
from sdbox_agent.profile.toml import TomlRefused

PARSERS = (toml, schema, layers)
SHIPPED = Path(__file__).parents[2] / "firmware_profiles"
BOX = b"""v = 1
box = "box-test-01"
profile = "virtual"

[centre]
host = "centre.test"
port = 8443
addresses = ["10.0.0.1", "fd00::1"]
"""
LAN = b"""[lan]
uplinks = ["eth0", "enx00e04c680001"]
dhcp = false
prefixes = ["2001:db8:2::/64"]
resolvers = ["192.0.2.53"]
time_servers = ["2001:db8:2::7b"]
"""
PROXY = b'[proxy]\naddress = "2001:db8::9"\nport = 3128\n'
PROFILE = b"""v = 1
name = "x"
model = "X"
levels = ["host-match", "card-match"]
sensor = "elan"
[reader]
names = ["R"]
usb = ["08e6:4433"]
[card]
kinds = ["piv-pin"]
"""
SENSOR = b"""v = 1
name = "elan"
model = "X"
driver = "elan"
usb = ["04f3:0c26"]
ppmm = 19.7
min_width_px = 96
max_width_px = 300
min_height_px = 96
max_height_px = 300
min_minutiae = 12
enrols = false
"""
REAL = schema.parse_sensor(SENSOR)
KIND = b"""v = 1
name = "piv-pin"
model = "X"
access = "pkcs11"
algorithms = ["P-256"]
pin_policy = "once"
comparison = "host"
module = "/usr/lib/x.so"
token_serial = "0123"
"""
OVER = b"""[reader]
pad = true
[card]
kinds = ["piv-free"]
[board]
dmi = [{ vendor = "A", product = "B" }]
device_tree = ["a,b"]
[clock]
battery = false
[tpm]
version = "2.0"
[usb]
allow = ["08e6:4433"]
"""
SEEDS: list[bytes] = [
    OVER,
    OVER.replace(b"08e6:4433", b"0781:5567"),
    OVER.replace(b"[reader]\npad", b"name = 'y'\n[readers]\npad"),
    b"reader = 1",
    b"",
    OVER.replace(b"[tpm]", b"[board.lacking]\n[tpm]"),
    OVER.replace(b'version = "2.0"', b""),
    *(path.read_bytes() for path in sorted(SHIPPED.glob("**/*.toml"))),
    BOX,
    BOX + LAN + PROXY,
    BOX + PROXY.replace(b"2001:db8::9", b"127.0.0.1"),
    BOX + LAN.replace(b"2001:db8:2::/64", b"ff00::/64"),
    PROFILE.replace(b'kinds = ["piv-pin"]', b'kinds = ["piv-pin", "piv-pin"]'),
    BOX.replace(b"centre.test", b"fd00::2"),
    BOX.replace(b"port", b"prot"),
    BOX.replace(b"host =", b"# host ="),
    BOX.replace(b"[centre]", b"[centre"),
    BOX.replace(b'"centre.test"', b"'''centre"),
    BOX.replace(b"8443", b"84430"),
    BOX.replace(b"8443", b"1979-02-30"),
    BOX.replace(b"virtual", b"virtual\xff"),
    BOX.replace(b"v = 1", b"a = " + b"[" * 3000),
    BOX.replace(b"v = 1", b"a" + b".a" * 200 + b" = 1"),
    BOX.replace(b"v = 1", b"v = 1\na.b = 1\n[c] # x"),
    BOX.replace(b"v = 1", b"v = x" + b"1" * 5000),
    BOX.replace(b"v = 1", b"v = " + b"1" * 5000),
    b"v = 'x'",
    PROFILE,
    SENSOR,
    SENSOR.replace(b"min_width_px = 96", b"min_width_px = 301"),
    SENSOR.replace(b"ppmm = 19.7\n", b""),
    PROFILE.replace(b'"card-match"', b'"host-match"'),
    KIND,
    KIND.replace(b'module = "/usr/lib/x.so"', b""),
    KIND.replace(b'access = "pkcs11"', b""),
    KIND.replace(b'"host"', b'"card"'),
    bytes(toml.MAX_BYTES + 1),
]
TOKENS = [
    line.partition(b"=")[0] + b"= "
    for line in (BOX + PROFILE + OVER + SENSOR + KIND).splitlines()
    if line
]


def target(data: bytes) -> None:
    """Each parser on the same bytes; a refusal names a line there is, and quotes no value."""
    parsers = (schema.parse_profile, schema.parse_box, schema.parse_kind, schema.parse_sensor)
    for files in ([Layer("base", PROFILE), Layer("over", data)], [Layer("base", data)]):
        try:
            found = layers.parse(files)
        except TomlRefused as refused:
            assert refused.line >= 1
            continue
        assert str(found.origin(("tpm", "version")))
        assert all(found.origin(keys).line >= 1 for keys in found.origins)
        assert all(keys and why for keys, why in field.objections(found.profile, REAL))
    for parse in parsers:
        with contextlib.suppress(TomlRefused):
            try:
                value = parse(data)
            except TomlRefused as refused:
                assert 1 <= refused.line <= data.count(b"\n") + data.count(b"\r") + 1
                raise
            match value:
                case schema.Box():
                    assert value.centre.url.startswith("https://")
                    assert value.centre.is_named in {True, False}  # it raises nothing
                    assert value.proxy is None or str(value.proxy).endswith(str(value.proxy.port))
                case schema.Sensor(ppmm=None):
                    with contextlib.suppress(ValueError):
                        raise AssertionError(f"a sensor of no resolution: {value.kind}")
                case schema.Sensor():
                    assert value.kind.driver == value.driver
                case schema.Kind():
                    assert value.kind.aid.hex().upper() == value.aid
