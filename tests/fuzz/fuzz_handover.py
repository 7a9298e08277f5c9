"""What one gateway program hands over to the next."""

import contextlib

from sdbox_agent.centre.wire import Carrier
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES
from sdbox_centre.handover import (
    HandOver,
    KeptInterface,
    KeptLease,
    KeptToken,
    Memory,
    decode,
    encode,
)
from sdbox_centre.window import Opened, Planned

PARSERS = (decode,)
KEY = bytes(range(32))
LEASE = KeptLease(
    box="test-box-01",
    statement=b"jws",
    certificates=(b"a", b"k", b"c"),
    host=2,
    salt=KEY,
    ciphertext=bytes(KEM_CIPHERTEXT_BYTES),
    ends_s=1060.25,
    carrier=Carrier(endpoint="192.0.2.3:443", pin=KEY, token=KEY),
    renewal=b"jws",
)
INTERFACE = KeptInterface(
    project="test-project-01", name="sdboxvm1", port=51820, public_key=KEY, pid=7, control=9
)
WHOLE = HandOver(
    memory=Memory(
        leases=(LEASE,),
        tokens=(KeptToken(sha256=KEY, session="test-box-01/b-1", ends_s=1030.0),),
        seen=((KEY, 1_800_000_000),),
        oldest_utc_s=1_800_000_000,
        window=Opened(Planned(1_800_000_000, 1_800_000_600), 1600.0),
    ),
    interfaces=(INTERFACE,),
    sockets={"gateway": 3, "vm.test-project-01": 4},
    clients=(10, 11),
    locks=(12,),
)
EMPTY = HandOver(
    memory=Memory(leases=(), tokens=(), seen=(), oldest_utc_s=0),
    interfaces=(),
    sockets={},
    clients=(),
    locks=(),
)
SEEDS: list[bytes] = [encode(WHOLE), encode(EMPTY), b"", b"\xff", b'{"v":2}', b"[" * 2000]
TOKENS = sorted(
    {
        b'"%s":' % name.encode()
        for message in (WHOLE, WHOLE.memory, LEASE, INTERFACE, WHOLE.memory.tokens[0])
        for name in message.__struct_fields__
    }
)


def target(data: bytes) -> None:
    """It is read as one, or not at all; and tells nothing of itself."""
    with contextlib.suppress(DecodeError):
        whole = decode(data)
        assert decode(encode(whole)) == whole
        assert repr(whole) == "<HandOver>"
        assert all(descriptor > 2 for descriptor in whole.descriptors)
