"""The sheet for the host's network: each rule has its line, each line its rules."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net.namespace import Namespace
from hil.net.topology import UPLINK, Topology
from sdbox_agent import errors, screen
from sdbox_agent.errors import DecodeError
from sdbox_agent.profile import schema
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.tunnel import nfset
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.kernel import Sets
from sdbox_agent.tunnel.killswitch import Purpose, Walls, openings, ruleset
from sdbox_agent.tunnel.nfset import Protocol
from tests.fuzz.fuzz_profile import BOX, LAN

SETTINGS = schema.parse_box(BOX + LAN)
WALLS = replace(
    walls_of(SETTINGS), uplinks=(UPLINK,), dhcp=True, router_advertisements=True, prefixes=()
)


def test_every_opening_has_a_line_and_every_line_its_words() -> None:
    made = networksheet.sheet(SETTINGS, WALLS, None)
    assert {line.purpose for line in made.lines} == {
        each.value for each in Purpose if each is not Purpose.LOOPBACK
    }
    said = set(screen.table()["network"])
    named = {f"for-{line.purpose}" for line in made.lines}
    named |= {f"to-{line.purpose}" for line in made.lines if not line.to}
    named |= {f"begins-{line.begins}" for line in made.lines}
    named |= {*made.asks, *made.sees, *made.hides, "title", "to", "granted-port"}
    named |= {"asks", "sees", "hides", "session", "always", "source-rules", "source-settings"}
    assert said == named | {"asks-no-name"}


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_a_person_reads_every_address_and_port(language: str) -> None:
    text = "\n".join(networksheet.text(networksheet.sheet(SETTINGS, WALLS, None), language))
    for word in ("10.0.0.1", "fd00::1", "8443", "192.0.2.53", "2001:db8:2::7b", "123", "67/547"):
        assert word in text
    assert not re.search(r"\b(?:for|to|sees|hides|asks|begins|source)-[a-z]", text)


def test_where_a_proxy_is_asked_it_is_who_a_carrier_goes_to() -> None:
    behind = schema.parse_box(BOX + LAN + b'[proxy]\naddress = "192.0.2.9"\nport = 3128\n')
    lines = networksheet.sheet(behind, WALLS, None).lines
    (carrier,) = [line for line in lines if line.purpose == Purpose.CARRIER.value]
    assert (carrier.to, carrier.ports, carrier.session) == (("192.0.2.9",), (3128,), True)


def test_a_name_is_said_to_be_seen_where_there_is_one() -> None:
    named = networksheet.sheet(SETTINGS, WALLS, None)
    assert "sees-name" in named.sees
    assert "asks-no-name" not in named.asks
    bare = schema.parse_box(BOX.replace(b"centre.test", b"10.1.2.3"))
    unnamed = networksheet.sheet(bare, walls_of(bare), None)
    assert "sees-name" not in unnamed.sees
    assert "asks-no-name" in unnamed.asks


def test_a_box_without_an_uplink_asks_for_nothing() -> None:
    assert networksheet.sheet(SETTINGS, Walls((), ()), None).lines == ()


@given(
    st.binary(max_size=200)
    | st.sampled_from([b"{}", b'{"nftables": [{"set": {"name": "x", "elem": [1]}}]}'])
)
def test_arbitrary_bytes_are_a_list_of_rules_or_one_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        networksheet.read(data)


# -- against the rules as nft has them -------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> Iterator[Namespace]:
    with Topology() as made:
        made.box.nft(ruleset(WALLS))
        yield made.box


def listed(box: Namespace) -> bytes:
    return subprocess.check_output(
        ["nsenter", f"--net={box.path}", "nft", "-j", "list", "table", "inet", "sdbox"]
    )


def values(rule: object) -> Iterator[object]:
    """Every literal in what nft says of a rule: addresses, prefixes, ports, kinds."""
    if isinstance(rule, dict):
        if set(rule) == {"addr", "len"}:
            yield f"{rule['addr']}/{rule['len']}"
        else:
            for key, inner in rule.items():
                if key not in {
                    "comment",
                    "chain",
                    "table",
                    "family",
                    "protocol",
                    "field",
                    "key",
                    "op",
                }:
                    yield from values(inner)
    elif isinstance(rule, list):
        for inner in rule:
            yield from values(inner)
    else:
        yield rule


@pytest.mark.rig
def test_every_address_and_port_of_every_rule_stands_in_its_line(box: Namespace) -> None:
    made = networksheet.sheet(SETTINGS, WALLS, networksheet.read(listed(box)))
    assert made.source == "rules"
    lines = {line.purpose: line for line in made.lines}
    seen = 0
    for item in msgspec.json.decode(listed(box))["nftables"]:
        rule = item.get("rule")
        if rule is None or rule["chain"] != "output" or "comment" not in rule:
            continue
        if rule["comment"] == Purpose.LOOPBACK.value:
            continue
        line = lines[rule["comment"]]  # a rule without a line in the sheet fails here
        found = set(values(rule["expr"]))
        addresses = {
            v
            for v in found
            if isinstance(v, str) and re.fullmatch(r"[0-9a-f.:/]*[.:][0-9a-f.:/]*", v)
        }
        assert addresses - {"fe80::/10"} <= set(line.to) | {"fe80::/10"}, rule
        ports = {v for v in found if isinstance(v, int) and v in {53, 67, 123, 547, 8443}}
        assert ports <= set(line.ports), rule
        seen += 1
    assert seen == sum(len(each.out) for each in openings(WALLS))


@pytest.mark.rig
def test_rules_that_stand_name_whom_the_tunnel_may_speak_to(box: Namespace) -> None:
    sets = box.run(Sets.here)
    for purpose, protocol in ((Purpose.TUNNEL, Protocol.UDP), (Purpose.CARRIER, Protocol.TCP)):
        for endpoint in ("192.0.2.9:51820", "[2001:db8::9]:443"):
            sets.batch(nfset.allow(parse_endpoint(endpoint), protocol))
            made = networksheet.sheet(SETTINGS, WALLS, networksheet.read(listed(box)))
            (line,) = (line for line in made.lines if line.purpose == purpose.value)
            assert (line.to, line.ports) == (
                (str(parse_endpoint(endpoint).address),),
                (parse_endpoint(endpoint).port,),
            )
    sets.batch(nfset.clear())
    sets.close()


@pytest.mark.rig
@pytest.mark.parametrize(
    "change",
    [
        "add rule inet sdbox output accept",
        'add rule inet sdbox output accept comment "centre"',
        "add chain inet sdbox input { policy accept; }",
    ],
)
def test_other_rules_than_the_settings_make_are_told(box: Namespace, change: str) -> None:
    box.nft(change)
    with pytest.raises(DecodeError):
        networksheet.sheet(SETTINGS, WALLS, networksheet.read(listed(box)))
    box.nft(ruleset(WALLS))
    networksheet.sheet(SETTINGS, WALLS, networksheet.read(listed(box)))
