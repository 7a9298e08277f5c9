"""Packets between API and gateway."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES
from sdbox_centre import gateway_wire
from sdbox_centre.gateway_wire import (
    Act,
    Install,
    Installed,
    Kept,
    No,
    Remove,
    Removed,
    Renewal,
    Renewed,
    decode_answer,
    decode_request,
    encode,
)

PARSERS = (decode_request, decode_answer)
KEY = bytes(range(32))
REQUESTS = (
    Install(
        box="test-box-01",
        statement=b"jws",
        kem_key=bytes(KEM_KEY_BYTES),
        auth=b"a",
        key_management=b"k",
        card_auth=b"c",
    ),
    Renewal(key="test-box-01/b-1", statement=b"jws", challenge=KEY),
    Act(statement=b"jws"),
    Remove(keys=("test-box-01/b-1", "test-box-01/b-2")),
)
ANSWERS = (
    Installed(
        peer=KEY,
        psk_salt=KEY,
        kem_ciphertext=bytes(KEM_CIPHERTEXT_BYTES),
        endpoint="192.0.2.1:51820",
        addresses=("10.77.0.2/32",),
        vm="10.77.0.1",
        lease_s=60,
    ),
    Renewed(lease_s=60),
    Removed(),
    Kept(),
    No(code="lease-refused"),
)
SEEDS: list[bytes] = [
    *map(encode, (*REQUESTS, *ANSWERS)),
    b"",
    b"\xff",
    b'{"t":"removed","v":1}',
    b'{"t":"removed","v":2}',
    b"[" * 2000,
]
TOKENS = sorted(
    {
        b'"%s":' % name.encode()
        for message in (*REQUESTS, *ANSWERS)
        for name in message.__struct_fields__
    }
)


def target(data: bytes) -> None:
    """A packet is written and read again as itself, in its own direction alone."""
    with contextlib.suppress(DecodeError):
        request = decode_request(data)
        assert isinstance(request, gateway_wire.Request)
        assert decode_request(encode(request)) == request
    with contextlib.suppress(DecodeError):
        answer = decode_answer(data)
        assert isinstance(answer, gateway_wire.Answer)
        assert decode_answer(encode(answer)) == answer
        assert not isinstance(answer, Installed) or repr(answer) == "<Installed>"
