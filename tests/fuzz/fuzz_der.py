"""DER: any bytes are elements or a DecodeError, by every reading method."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der

SEEDS: list[bytes] = [
    der.sequence(der.integer(1), der.octets(b"x"), der.bits(b"y"), der.utf8("z")),
    der.sequence(der.time(0), der.time(2524608000), der.oid("2.25.1")),
    der.set_of(der.element(0xA0, der.sequence())),
]
METHODS = ("integer", "octets", "bits", "oid", "time_s", "raw", "peek")


def target(data: bytes) -> None:
    """Walk the data by the general check, then read its first element each way there is."""
    with contextlib.suppress(DecodeError):
        der.check(data, 4096)
    for method in METHODS:
        with contextlib.suppress(DecodeError):
            getattr(der.Reader(data), method)()
    with contextlib.suppress(DecodeError):
        reader = der.Reader(data).enter()
        while not reader.at_end():
            reader.raw()
    with contextlib.suppress(DecodeError):
        der.Reader(data).utf8(100)
