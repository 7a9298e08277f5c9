"""PIV's data objects and GENERAL AUTHENTICATE: the vectors are built from SP 800-73 by hand."""

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import piv, tlv
from sdbox_agent.card.spki import Curve, EcKey, RsaKey
from sdbox_agent.errors import DecodeError
from tests.card.double import certificate_object, chuid

DISCOVERY = bytes.fromhex("7E124F0BA0000003080000100001005F2F024000")


def fields(data: bytes) -> dict[int, bytes]:
    return {item.tag: item.value for item in tlv.parse(tlv.one(data, 0x53))}


def build(items: dict[int, bytes]) -> bytes:
    return tlv.encode(0x53, b"".join(tlv.encode(tag, value) for tag, value in items.items()))


@pytest.mark.parametrize(
    "text",
    [
        "61114F0600001000010079074F05A000000308",
        "61164F0BA00000030800001000010079074F05A000000308",
    ],
)
def test_the_application_is_known_by_aid_or_pix(text: str) -> None:
    piv.decode_select(bytes.fromhex(text))


@pytest.mark.parametrize("text", ["", "6100", "61084F06000020000100", "6F084F06000010000100"])
def test_another_application_is_not(text: str) -> None:
    with pytest.raises(DecodeError):
        piv.decode_select(bytes.fromhex(text))


def test_commands_are_those_of_the_standard() -> None:
    assert piv.select().data == bytes.fromhex("A000000308000010000100")
    assert piv.get_data(0x5FC102).data == bytes.fromhex("5C035FC102")
    assert piv.get_data(0x7E).data == bytes.fromhex("5C017E")
    agreement = piv.key_agreement(0x9D, EcKey(Curve.P256), b"\x04" + bytes(64))
    assert (agreement.ins, agreement.p1, agreement.p2) == (0x87, 0x11, 0x9D)
    assert agreement.data == bytes.fromhex("7C4582008541 04") + bytes(64)
    rsa = piv.private_operation(0x9D, RsaKey(1 << 2047, 256), bytes(256))
    assert (rsa.p1, rsa.data[:12].hex()) == (0x07, "7c82010682008182010000"[:22] + "00")


def test_a_discovery_object_is_read() -> None:
    assert piv.decode_discovery(DISCOVERY) == b"\x40\x00"
    for bad in (
        DISCOVERY[:-2] + b"\x00\x00",  # no PIV PIN
        DISCOVERY.replace(b"\x10\x00\x01", b"\x10\x00\x02"),
        tlv.encode(0x53, DISCOVERY),
        DISCOVERY + b"\x00",
    ):
        with pytest.raises(DecodeError):
            piv.decode_discovery(bad)


def test_a_chuid_is_read() -> None:
    read = piv.decode_chuid(chuid())
    assert (read.guid, read.expires, read.raw) == (bytes(range(16)), "20300101", chuid())


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (0x35, b"20301301"),
        (0x35, b"20290229"),
        (0x35, b"2030 101"),
        (0x35, "\uff12\uff10\uff13".encode()[:8]),
        (0x35, b"2030010"),
        (0x34, bytes(15)),
        (0x30, bytes(24)),
        (0xFE, b"\x00"),
        (0x99, b""),
    ],
)
def test_a_bad_chuid_is_refused(tag: int, value: bytes) -> None:
    with pytest.raises(DecodeError):
        piv.decode_chuid(build(fields(chuid()) | {tag: value}))


@pytest.mark.parametrize("tag", [0x30, 0x34, 0x35, 0xFE])
def test_a_chuid_lacks_nothing(tag: int) -> None:
    kept = fields(chuid())
    del kept[tag]
    with pytest.raises(DecodeError):
        piv.decode_chuid(build(kept))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_certificate_is_taken_out(compressed: bool) -> None:
    der = bytes(range(256)) * 3
    assert piv.decode_certificate(certificate_object(der, compressed=compressed)) == der


def wrap(content: bytes, information: bytes, edc: bytes = b"") -> bytes:
    return build({0x70: content, 0x71: information, 0xFE: edc})


@pytest.mark.parametrize(
    "data",
    [
        wrap(b"", b"\x00"),
        wrap(b"x", b"\x02"),
        wrap(b"x", b""),
        wrap(b"x", b"\x00", b"\x00"),
        wrap(b"not gzip", b"\x01"),
        wrap(gzip.compress(b"x" * 100)[:-1], b"\x01"),
        wrap(gzip.compress(b"x" * 100) + b"y", b"\x01"),
        wrap(gzip.compress(b"x") + gzip.compress(b"y"), b"\x01"),
        wrap(zlib.compress(b"x" * 100), b"\x01"),
        wrap(gzip.compress(bytes(piv.MAX_CERTIFICATE_BYTES + 1)), b"\x01"),
        wrap(gzip.compress(bytes(16_000_000)), b"\x01"),  # fault 15: 16 kB that become 16 MB
    ],
)
def test_a_bad_certificate_object_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        piv.decode_certificate(data)


def test_a_bomb_is_not_blown_up() -> None:
    """Fault 15: refused for its size is too late if it has all been unpacked by then."""
    bomb = wrap(gzip.compress(bytes(16_000_000)), b"\x01")
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            piv.decode_certificate(bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 200_000


def test_the_largest_certificate_is_taken() -> None:
    largest = bytes(piv.MAX_CERTIFICATE_BYTES)
    assert piv.decode_certificate(wrap(gzip.compress(largest), b"\x01")) == largest


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (
        piv.decode_select,
        piv.decode_discovery,
        piv.decode_chuid,
        piv.decode_certificate,
        piv.decode_authenticate,
        lambda d: piv.decode_ecdsa(d, Curve.P256),
    ):
        for candidate in (data, tlv.encode(0x53, data), tlv.encode(0x7C, tlv.encode(0x82, data))):
            with contextlib.suppress(DecodeError):
                read(candidate)


def signature(r: bytes, s: bytes) -> bytes:
    pair = tlv.encode(0x30, tlv.encode(2, r) + tlv.encode(2, s))
    return tlv.encode(0x7C, tlv.encode(0x82, pair))


@given(st.integers(1, Curve.P256.order - 1), st.integers(1, Curve.P256.order - 1))
def test_a_signature_becomes_two_numbers_of_fixed_size(r: int, s: int) -> None:
    der = [number.to_bytes(number.bit_length() // 8 + 1) for number in (r, s)]
    raw = piv.decode_ecdsa(signature(*der), Curve.P256)
    assert raw == r.to_bytes(32) + s.to_bytes(32)


@pytest.mark.parametrize(
    "r",
    [
        b"",
        b"\x00",
        b"\x80",  # negative
        b"\x00\x01",  # not the shortest
        Curve.P256.order.to_bytes(33),
        b"\x01" + bytes(32),
    ],
)
def test_a_signature_out_of_range_is_refused(r: bytes) -> None:
    for pair in ((r, b"\x01"), (b"\x01", r)):
        with pytest.raises(DecodeError):
            piv.decode_ecdsa(signature(*pair), Curve.P256)


def test_a_result_has_its_size() -> None:
    data = tlv.encode(0x7C, tlv.encode(0x82, bytes(32)))
    assert piv.decode_block(data, 32) == bytes(32)
    for size in (31, 33, 0):
        with pytest.raises(DecodeError):
            piv.decode_block(data, size)
