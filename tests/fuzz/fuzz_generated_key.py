"""GENERATE's answer: any bytes are a public key of the algorithm asked for, or a DecodeError."""

import contextlib
from typing import get_args

from sdbox_agent.card import tlv
from sdbox_agent.cardkind import Algorithm
from sdbox_agent.errors import DecodeError
from sdbox_centre.issuercard import decode_public_key
from tests.fuzz import structure

_POINT = bytes.fromhex(  # the base point of P-256 (SP 800-186 section 3.2.1.3)
    "046B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296"
    "4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5"
)
_RSA = tlv.encode(0x81, b"\xc1" * 256) + tlv.encode(0x82, b"\x01\x00\x01")
MUTATE = structure.mutate
PARSERS = (decode_public_key,)
SEEDS: list[bytes] = [
    tlv.encode(0x7F49, tlv.encode(0x86, _POINT)),
    tlv.encode(0x7F49, _RSA),
    tlv.encode(0x7F49, tlv.encode(0x81, b"\xc1" * 255 + b"\2") + _RSA[-5:]),
    tlv.encode(0x7F49, _RSA[:-3] + b"\x01\x00\x00"),
]


def target(data: bytes) -> None:
    """Read it as a key of each algorithm."""
    for algorithm in get_args(Algorithm):
        with contextlib.suppress(DecodeError):
            assert decode_public_key(data, algorithm).key_size >= 256
