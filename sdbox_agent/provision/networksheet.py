"""What a box asks of the network it is plugged into: a sheet for whoever runs that network.

Made of the very openings that the rules are made of; what nft lists of the rules that stand says
whether they are those, and whom the tunnel may speak to just now. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from sdbox_agent.errors import DecodeError
from sdbox_agent.screen import words
from sdbox_agent.tunnel.killswitch import Purpose, openings
from sdbox_agent.tunnel.nfset import VERSIONS, Protocol, set_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.profile.schema import Box, Proxy
    from sdbox_agent.tunnel.killswitch import Opening, Walls

_SETS: Final = {Purpose.TUNNEL: Protocol.UDP, Purpose.CARRIER: Protocol.TCP}
_BEGUN: Final[dict[Purpose, Literal["network", "both"]]] = {
    Purpose.NEIGHBOURS: "both",
    Purpose.ROUTERS: "both",
    Purpose.ERRORS: "network",
}
SEES: Final = ("sees-addresses", "sees-endpoint", "sees-times", "sees-volume")
HIDES: Final = ("hides-content", "hides-person", "hides-vm", "hides-certificates")
ASKS: Final = ("asks-no-inbound", "asks-no-interception")


class Line(msgspec.Struct, frozen=True):
    """One thing that has to pass."""

    purpose: str
    begins: Literal["box", "network", "both"]
    protocols: tuple[str, ...]
    to: tuple[str, ...]  # none: whom the centre grants for a session
    ports: tuple[int, ...]
    session: bool  # only while one is open


class Loaded(msgspec.Struct, frozen=True):
    """What nft tells of the walls that stand: rules by chain and purpose, endpoints by set."""

    rules: dict[str, int]  # "chain purpose" -> how many; "chain" -> 1 if it drops by default
    endpoints: dict[str, tuple[tuple[str, int], ...]]


class Sheet(msgspec.Struct, frozen=True):
    """The whole of it."""

    box: str
    source: Literal["rules", "settings"]
    lines: tuple[Line, ...]
    asks: tuple[str, ...]  # what is not asked for
    sees: tuple[str, ...]
    hides: tuple[str, ...] = HIDES


def sheet(box: Box, walls: Walls, loaded: Loaded | None) -> Sheet:
    """From the settings alone, or with what stands. Raises DecodeError if other rules stand."""
    if loaded is not None and loaded.rules != _expected(walls):
        raise DecodeError("other rules stand than the settings make")
    lines = tuple(_line(opening, loaded, box.proxy) for opening in openings(walls))
    asks = ASKS if walls.resolvers else (*ASKS, "asks-no-name")
    sees = (*SEES, "sees-name") if box.centre.is_named else SEES
    return Sheet(box.box, "settings" if loaded is None else "rules", lines, asks, sees)


def read(listed: bytes) -> Loaded:
    """What `nft -j list table inet sdbox` printed. Raises DecodeError."""
    try:
        table = msgspec.json.decode(listed, type=_Listed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DecodeError("not a list of rules") from None
    rules = Counter(
        f"{item.rule.chain} {item.rule.comment}" for item in table.nftables if item.rule is not None
    )
    rules.update(
        item.chain.name
        for item in table.nftables
        if item.chain is not None and item.chain.policy == "drop"
    )
    sets = [item.set for item in table.nftables if item.set is not None]
    return Loaded(dict(rules), {each.name: _elements(each.elem) for each in sets})


def text(made: Sheet, language: str) -> Iterator[str]:
    """For a person."""

    def say(name: str) -> str:
        return words("network", name, language)

    yield f"{say('title')} {made.box}"
    yield f"({say('source-' + made.source)})"
    for line in made.lines:
        granted = say("granted-port") if line.session else ""
        ports = "/".join(map(str, line.ports)) or granted
        to = ", ".join(line.to) or say(f"to-{line.purpose}")
        yield ""
        yield f"- {say('for-' + line.purpose)}"
        over = ", ".join(line.protocols).upper()
        yield f"    {say('begins-' + line.begins)}, {over} {ports}".rstrip()
        yield f"    {say('to')} {to}"
        yield f"    {say('session' if line.session else 'always')}"
    for heading, names in (("asks", made.asks), ("sees", made.sees), ("hides", made.hides)):
        yield ""
        yield say(heading)
        yield from (f"- {say(name)}" for name in names)


class _Rule(msgspec.Struct):
    chain: str
    comment: str = ""


class _Chain(msgspec.Struct):
    name: str
    policy: str = ""


class _Set(msgspec.Struct):
    name: str
    elem: list[object] = []


class _Item(msgspec.Struct):
    chain: _Chain | None = None
    rule: _Rule | None = None
    set: _Set | None = None


class _Listed(msgspec.Struct):
    nftables: list[_Item]


class _Concat(msgspec.Struct):
    concat: tuple[str, int]


def _elements(listed: list[object]) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(each.concat for each in msgspec.convert(listed, list[_Concat]))
    except msgspec.ValidationError:
        raise DecodeError("not an endpoint") from None


def _expected(walls: Walls) -> dict[str, int]:
    """The rules that these walls are made of, counted as `Loaded` counts them."""
    found = Counter(("input", "output", "forward"))
    for chain in ("input", "output"):
        found[f"{chain} {Purpose.LOOPBACK.value}"] += 1
        found[f"{chain} "] += 1 if walls.uplinks else 0  # what goes through no uplink
    for each in openings(walls):
        found[f"input {each.purpose.value}"] += len(each.into)
        found[f"output {each.purpose.value}"] += len(each.out)
    return {name: count for name, count in found.items() if count}


def _line(opening: Opening, loaded: Loaded | None, proxy: Proxy | None) -> Line:
    to, ports = opening.to, opening.ports
    protocol = _SETS.get(opening.purpose)
    if opening.purpose is Purpose.CARRIER and proxy is not None:
        to, ports = (proxy.address,), (proxy.port,)  # whoever is granted, it alone is spoken to
    elif protocol is not None and loaded is not None:
        names = [set_name(protocol, version) for version in VERSIONS]
        granted = [each for name in names for each in loaded.endpoints.get(name, ())]
        to, ports = tuple(address for address, _ in granted), tuple(port for _, port in granted)
    return Line(
        opening.purpose.value,
        _BEGUN.get(opening.purpose, "box"),
        opening.protocols,
        to,
        ports,
        protocol is not None,
    )
