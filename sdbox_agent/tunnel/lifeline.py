"""What the tunnel hangs by: a table of nftables that the kernel takes down with the helper.

A table with an owner goes as the netlink socket goes that made it, however its holder dies, and
nobody else can change or flush it (nft(8), `flags owner`; Linux 5.12). WireGuard marks its packets
with FWMARK, which the walls refuse; here, just before the walls, they get LIVE_MARK, without which
nothing leaves to the endpoint nor comes in from it. A carrier's TCP gets it by its user. So a
WireGuard interface that has outlived its helper, as one of the kernel's does, lies there walled in
until the next helper removes it, though a carrier has not noticed that the helper is gone.
Does not know sockets, nor what the walls say.
"""

from __future__ import annotations

import struct
from typing import Final

from sdbox_agent.tunnel.config import CARRIER_UID, FWMARK, LIVE_MARK
from sdbox_agent.tunnel.netlink import NLM_F_CREATE, Request, attribute, nested, text

# <linux/netfilter.h>, <linux/netfilter_ipv4.h>, <linux/netfilter/nf_tables.h>
_INET: Final = struct.pack("!BBH", 1, 0, 0)  # NFPROTO_INET: IPv4 and IPv6
_LOCAL_IN, _LOCAL_OUT = 1, 3
_NEWTABLE, _NEWCHAIN, _NEWRULE, _DELRULE = ((10 << 8) | kind for kind in (0, 3, 6, 8))
_NLM_F_APPEND: Final = 0x800
_TABLE_NAME, _TABLE_FLAGS, _TABLE_F_OWNER = 1, 2, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_TYPE = 1, 3, 4, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEM, _EXPR_NAME, _EXPR_DATA, _DATA_VALUE = 1, 1, 2, 1
_REGISTER, _REG_1 = 1, 1  # NFTA_META_DREG, NFTA_CMP_SREG and NFTA_IMMEDIATE_DREG are all 1
_META_KEY, _META_SREG = 2, 3
_META_MARK, _META_SKUID, _META_L4PROTO = 3, 10, 16
_CMP_OP, _CMP_DATA, _CMP_EQ = 2, 3, 0
_IMMEDIATE_DATA: Final = 2
_TCP: Final = b"\x06"  # IPPROTO_TCP, <linux/in.h>
# ours
TABLE: Final = "sdbox-lifeline"
_PRIORITY: Final = -10  # before the walls, which stand at 0


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!i", value))


def _value(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(_DATA_VALUE, value))


def _word(number: int) -> bytes:
    return struct.pack("=I", number)  # as the host has it


def _expression(name: str, *data: bytes) -> bytes:
    return nested(_LIST_ELEM, text(_EXPR_NAME, name), nested(_EXPR_DATA, *data))


def _is(key: int, value: bytes) -> bytes:
    """Go on only with packets of which the kernel knows this."""
    return _expression("meta", _number(_REGISTER, _REG_1), _number(_META_KEY, key)) + _expression(
        "cmp", _number(_REGISTER, _REG_1), _number(_CMP_OP, _CMP_EQ), _value(_CMP_DATA, value)
    )


_IS_WIREGUARDS: Final = _is(_META_MARK, _word(FWMARK))
# Not all that is the carrier's: its datagrams are none of WireGuard's.
_IS_CARRIERS: Final = _is(_META_L4PROTO, _TCP) + _is(_META_SKUID, _word(CARRIER_UID))
_LIVES: Final = (
    _expression("immediate", _number(_REGISTER, _REG_1), _value(_IMMEDIATE_DATA, _word(LIVE_MARK))),
    _expression("meta", _number(_META_KEY, _META_MARK), _number(_META_SREG, _REG_1)),
)


def _chain(name: str, hook: int) -> Request:
    where = nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, hook), _number(_HOOK_PRIORITY, _PRIORITY))
    named = text(_CHAIN_TABLE, TABLE) + text(_CHAIN_NAME, name)
    return Request(_NEWCHAIN, NLM_F_CREATE, _INET + named + where + text(_CHAIN_TYPE, "filter"))


def _rule(chain: str, *expressions: bytes) -> Request:
    named = text(_RULE_TABLE, TABLE) + text(_RULE_CHAIN, chain)
    body = _INET + named + nested(_RULE_EXPRESSIONS, *expressions)
    return Request(_NEWRULE, NLM_F_CREATE | _NLM_F_APPEND, body)


# One transaction, and the same again where it is there already.
REQUESTS: Final = (
    Request(
        _NEWTABLE,
        NLM_F_CREATE,
        _INET + text(_TABLE_NAME, TABLE) + _number(_TABLE_FLAGS, _TABLE_F_OWNER),
    ),
    _chain("input", _LOCAL_IN),
    _chain("output", _LOCAL_OUT),
    Request(_DELRULE, 0, _INET + text(_RULE_TABLE, TABLE)),
    _rule("input", *_LIVES),
    _rule("output", _IS_WIREGUARDS, *_LIVES),
    _rule("output", _IS_CARRIERS, *_LIVES),
)
