"""What of the walls the kernel has, from nf_tables' own netlink messages.

The walls stand when both tables are awake and every chain of theirs is there, the hooked ones
dropping by default. A device has its hook when the chain there drops by default, too, and holds one
rule: the jump to what passes. With each chain and rule the kernel tells a handle that it never
gives twice: the same words mean the same rules, untouched since. The tunnel's sets are left out:
they are what changes. Does not know what the rules say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel.killswitch import EGRESS
from sdbox_agent.tunnel.netlink import NLM_F_DUMP, Request, attribute, attributes
from sdbox_agent.tunnel.nfset import FAMILIES, NFPROTO_INET, NFPROTO_NETDEV, TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sdbox_agent.tunnel.netlink import Reply

# <linux/netfilter/nfnetlink.h>, <linux/netfilter/nf_tables.h>
MULTICAST_GROUP: Final = 7  # NFNLGRP_NFTABLES
_SUBSYSTEM: Final = 10 << 8
_NFGENMSG_BYTES: Final = 4  # family, version, and the number of the last change
_TABLE_NAME, _TABLE_FLAGS, _TABLE_HANDLE = 1, 2, 4
_CHAIN_TABLE, _CHAIN_HANDLE, _CHAIN_NAME, _CHAIN_POLICY = 1, 2, 3, 5
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_ELEM, _EXPR_NAME, _EXPR_DATA, _IMMEDIATE_DATA, _DATA_VERDICT = 1, 1, 2, 2, 2
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_JUMP: Final = (-3).to_bytes(4, "big", signed=True)  # NFT_JUMP
_GEN_ID: Final = 1
_AWAKE: Final = bytes(4)  # neither NFT_TABLE_F_DORMANT nor another program's own
_DROP: Final = bytes(4)  # NF_DROP, <linux/netfilter.h>
# ours
_HOOKED: Final = frozenset((NFPROTO_INET, name) for name in ("input", "output", "forward"))
_LEAVING: Final = (NFPROTO_NETDEV, "leaving")

GENERATION: Final = Request(_SUBSYSTEM | 16, 0, bytes(_NFGENMSG_BYTES))


def _dump(kind: int) -> tuple[Request, ...]:
    heads = (struct.pack("!BBH", family, 0, 0) for family in FAMILIES)
    return tuple(Request(_SUBSYSTEM | kind, NLM_F_DUMP, head) for head in heads)


TABLES: Final = _dump(1)
CHAINS: Final = _dump(4)
RULES: Final = _dump(7)


@dataclass(frozen=True, slots=True)
class Standing:
    """Walls that stand, as the kernel words them."""

    words: tuple[bytes, ...]
    devices: frozenset[str]  # those that have a chain of ours at their egress


def generation(reply: Reply) -> int:
    """The number of the last change of any rule, from the answer to GENERATION."""
    told = attributes(reply.body[_NFGENMSG_BYTES:]).get(_GEN_ID, b"")
    if len(told) != 4:
        raise DecodeError("not a generation")
    return int.from_bytes(told, "big")


def read(
    tables: Iterable[Reply], chains: Iterable[Reply], rules: Iterable[Reply]
) -> Standing | None:
    """The walls, or None where they do not stand. Raises DecodeError."""
    words, awake = [], set()
    for family, told, _ in _ours(tables, _TABLE_NAME):
        if told.get(_TABLE_FLAGS, _AWAKE) == _AWAKE:
            awake.add(family)
            words.append(told.get(_TABLE_HANDLE, b""))
    closed, hooks = set(), set()
    for family, told, _ in _ours(chains, _CHAIN_TABLE):
        chain = family, _text(told, _CHAIN_NAME)
        if chain == _LEAVING or (chain in _HOOKED and told.get(_CHAIN_POLICY) == _DROP):
            closed.add(chain)
            words.append(told.get(_CHAIN_HANDLE, b""))
        elif chain[1].startswith(EGRESS) and told.get(_CHAIN_POLICY) == _DROP:
            hooks.add(chain)
    if awake != set(FAMILIES) or closed != {*_HOOKED, _LEAVING}:
        return None
    jumps: dict[tuple[int, str], list[bool]] = {chain: [] for chain in hooks}
    for family, told, body in _ours(rules, _RULE_TABLE):
        chain = family, _text(told, _RULE_CHAIN)
        if chain in closed:
            words.append(body)
        elif chain in jumps:
            jumps[chain].append(_jumps(told.get(_RULE_EXPRESSIONS, b"")))
    devices = (name.removeprefix(EGRESS) for (_, name), found in jumps.items() if found == [True])
    return Standing(tuple(words), frozenset(devices))


def _ours(replies: Iterable[Reply], table: int) -> Iterator[tuple[int, dict[int, bytes], bytes]]:
    """Family, attributes and words of what belongs to our tables."""
    for reply in replies:
        if len(reply.body) < _NFGENMSG_BYTES:
            raise DecodeError("nf_tables message cut short")
        body = reply.body[_NFGENMSG_BYTES:]
        told = attributes(body)
        if reply.body[0] in FAMILIES and _text(told, table) == TABLE:
            yield reply.body[0], told, body


def _jumps(expressions: bytes) -> bool:
    """Is that a rule's one expression: the jump to what passes?"""
    only = attributes(expressions).get(_ELEM, b"")
    data = attributes(only).get(_EXPR_DATA, b"")
    verdict = attributes(attributes(data).get(_IMMEDIATE_DATA, b"")).get(_DATA_VERDICT, b"")
    told = attributes(verdict)
    return (
        len(expressions) == len(attribute(_ELEM, only))
        and _text(attributes(only), _EXPR_NAME) == "immediate"
        and told.get(_VERDICT_CODE) == _JUMP
        and _text(told, _VERDICT_CHAIN) == _LEAVING[1]
    )


def _text(told: dict[int, bytes], kind: int) -> str:
    return told.get(kind, b"").rstrip(b"\0").decode("utf-8", "replace")
