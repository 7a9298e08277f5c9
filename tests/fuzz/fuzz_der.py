"""DER: any bytes are elements or a DecodeError, by every reading method."""

import contextlib

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der
from tests.fuzz import structure

MUTATE = structure.mutate
PARSERS = (der,)
MAX_BYTES = 4096
METHODS = ("integer", "octets", "bits", "oid", "time_s", "raw", "peek")


def _nested(levels: int) -> bytes:
    data = b""
    for _ in range(levels):
        data = der.sequence(data)
    return data


SEEDS: list[bytes] = [
    der.sequence(der.integer(1), der.octets(b"x"), der.bits(b"y"), der.utf8("z")),
    der.sequence(der.time(0), der.time(2524608000), der.time(-1e9), der.oid("2.25.1")),
    der.set_of(der.element(0xA0, der.sequence())),
    _nested(der.MAX_DEPTH),
    _nested(der.MAX_DEPTH + 1),
    bytes(MAX_BYTES + 1),
    der.octets(bytes(200)),
    der.octets(bytes(32)),
    der.octets(bytes(300)),
    # headers: cut, tag number above 30, indefinite, four bytes, not minimal (twice), past the end
    *map(bytes.fromhex, ("30", "3F8101", "3080", "048400000001", "048101", "04820001", "048200")),
    *map(bytes.fromhex, ("0405", "3000", "300000", "")),
    # integers: none, negative, too long, not minimal
    *map(bytes.fromhex, ("0200", "0280", "0215" + "01" * 21, "02020001", "02020080")),
    # bit strings, text, object identifiers: good, empty, cut, leading 80, an arc too long
    *map(
        bytes.fromhex, ("0300", "030107", "0C0141", "0C01FF", "0C6565" + "41" * 100, "0603550403")
    ),
    *map(bytes.fromhex, ("0600", "060188", "06028001", "061481" + "80" * 18 + "01")),
    # times: good, no Z, a letter, the 30th of February, before 1950 and within UTCTime's years
    *(
        der.element(tag, text)
        for tag, text in (
            (der.UTC_TIME, b"491231235959Z"),
            (der.UTC_TIME, b"500101000000Z"),
            (der.UTC_TIME, b"4912312359590"),
            (der.UTC_TIME, b"49123123595xZ"),
            (der.UTC_TIME, b"490230000000Z"),
            (der.GENERALIZED_TIME, b"19491231235959Z"),
            (der.GENERALIZED_TIME, b"20260101000000Z"),
            (der.GENERALIZED_TIME, b"20500101000000Z"),
        )
    ),
]


def target(data: bytes) -> None:
    """Walk the data by the general check, then read its first element each way there is."""
    with contextlib.suppress(DecodeError):
        der.check(data, MAX_BYTES)
    for method in METHODS:
        with contextlib.suppress(DecodeError):
            getattr(der.Reader(data), method)()
    with contextlib.suppress(DecodeError):
        reader = der.Reader(data).enter()
        while not reader.at_end():
            raw = reader.raw()
            if raw[0] & der.HIGH_TAG_NUMBER != der.HIGH_TAG_NUMBER:
                assert der.element(raw[0], der.Reader(raw).read(raw[0])) == raw
    with contextlib.suppress(DecodeError):
        value = der.Reader(data).oid()
        assert der.Reader(der.oid(value)).oid() == value
    with contextlib.suppress(DecodeError):
        value_s = der.Reader(data).time_s()
        assert der.Reader(der.time(value_s)).time_s() == value_s
    for kind in (der.SEQUENCE, der.SET):
        with contextlib.suppress(DecodeError):
            reader = der.Reader(data)
            reader.expect(bytes([kind]))
            reader.end()
    with contextlib.suppress(DecodeError):
        assert len(der.Reader(data).octets(1, 32)) in {1, 32}
    with contextlib.suppress(DecodeError):
        der.Reader(data).utf8(100)
