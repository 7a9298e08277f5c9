"""Frames are read to their last byte, or refused."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hil.net import forge
from hil.net.packet import Arp, Datagram, Icmp6, Report, Segment, parse
from sdbox_agent.errors import DecodeError

BOX, HOST = forge.mac("02:00:00:00:00:02"), forge.mac("02:00:00:00:00:01")
BOX4, HOST4, BOX6, HOST6 = "192.0.2.2", "192.0.2.1", "2001:db8::2", "2001:db8::1"
REPORT = bytes((58, 0, 5, 2, 0, 0, 1, 0)) + b"\x8f" + bytes(27)


def frame4(protocol: int, content: bytes) -> bytes:
    return forge.ethernet(HOST, BOX, forge.IPV4, forge.ipv4(BOX4, HOST4, protocol, content))


def frame6(following: int, content: bytes, hops: int = 255) -> bytes:
    return forge.ethernet(HOST, BOX, forge.IPV6, forge.ipv6(BOX6, HOST6, following, content, hops))


def udp4(payload: bytes) -> bytes:
    return frame4(forge.UDP, forge.udp((BOX4, 1), (HOST4, 2), payload))


@given(st.binary(max_size=200))
def test_what_is_forged_is_read_back(payload: bytes) -> None:
    seen = parse(udp4(payload))
    assert isinstance(seen, Datagram)
    assert (str(seen.source), str(seen.destination)) == (BOX4, HOST4)
    assert (seen.source_port, seen.port, seen.payload) == (1, 2, payload)
    tcp = forge.tcp((BOX6, 1), (HOST6, 2), 2**32 - 1, payload, forge.SYN)
    segment = parse(frame6(forge.TCP, tcp))
    assert isinstance(segment, Segment)
    assert (segment.sequence, segment.begins, segment.payload) == (0, True, payload)


def test_arp_neighbours_and_reports_are_told_apart() -> None:
    asked = forge.arp(1, (BOX, BOX4), (bytes(6), HOST4))
    assert parse(forge.ethernet(forge.ALL4, BOX, forge.ARP, asked)).sender.exploded == BOX4
    solicit = parse(frame6(forge.ICMP6, forge.icmp6(BOX6, HOST6, 135, bytes(20))))
    assert isinstance(solicit, Icmp6)
    assert (solicit.kind, solicit.code, solicit.hops, solicit.payload) == (135, 0, 255, bytes(20))
    assert isinstance(parse(frame6(0, REPORT, 1)), Report)


def test_only_zeros_pad_and_only_to_the_shortest_frame() -> None:
    short = udp4(b"x")
    assert parse(short.ljust(60, b"\0")) == parse(short)
    for odd in (short.ljust(61, b"\0"), short.ljust(60, b"\1"), udp4(bytes(100)) + b"\0"):
        with pytest.raises(DecodeError, match="length"):
            parse(odd)


def _with(frame: bytes, at: int, value: bytes) -> bytes:
    return frame[:at] + value + frame[at + len(value) :]


def _summed(frame: bytes) -> bytes:
    """With the checksum of its IPv4 header made right again."""
    head = _with(frame[14:34], 10, b"\0\0")
    total = sum(struct.unpack("!10H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return _with(frame, 24, (total ^ 0xFFFF).to_bytes(2, "big"))


UDP4 = udp4(bytes(40))
TCP4 = frame4(forge.TCP, forge.tcp((BOX4, 1), (HOST4, 2), 1, b"data"))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"", "cut short"),
        (UDP4[:20], "cut short"),
        (frame6(17, b"")[:40], "cut short"),
        (_with(UDP4, 12, b"\x81\x00"), "ethertype"),
        (_with(UDP4, 12, b"\x88\xb5"), "ethertype"),
        (_summed(_with(UDP4, 14, b"\x46")), "options"),
        (_summed(_with(UDP4, 20, b"\x20\0")), "fragment"),
        (_summed(_with(UDP4, 20, b"\0\x01")), "fragment"),
        (_with(UDP4, 22, b"\1"), "checksum"),
        (_summed(_with(UDP4, 16, b"\0\x13")), "shorter"),
        (_with(UDP4, 38, b"\0\1"), "UDP"),
        (_with(TCP4, 46, b"\x40"), "TCP header"),
        (_with(TCP4, 46, b"\xf0"), "TCP header"),
        (_with(TCP4, 47, b"\x04"), "reset"),
        (frame4(1, bytes(8)), "neither"),
        (frame4(58, bytes(8)), "neither"),
        (frame4(17, b""), "neither"),
        (_with(frame6(17, bytes(8)), 14, b"\x40"), "not IPv6"),
        (frame6(0, bytes(8)), "extension"),
        (frame6(0, REPORT[:8] + b"\x80" + bytes(27), 1), "extension"),
        (frame6(44, bytes(8)), "neither"),
        (forge.ethernet(HOST, BOX, forge.ARP, forge.arp(9, (BOX, BOX4), (HOST, HOST4))), "ARP"),
    ],
)  # fmt: skip
def test_what_can_t_be_understood_is_refused(odd: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        parse(odd)


@given(st.binary(max_size=120), st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06", b"ab"]))
@example(b"", b"\x08\x00")
def test_any_frame_is_a_packet_or_refused(body: bytes, ethertype: bytes) -> None:
    try:
        packet = parse(bytes(12) + ethertype + body)
    except DecodeError:
        return
    assert isinstance(packet, Arp | Datagram | Segment | Icmp6 | Report)


@given(st.integers(0, len(UDP4) - 1), st.integers(1, 255))
def test_a_packet_changed_anywhere_is_another_or_refused(at: int, change: int) -> None:
    changed = _with(UDP4, at, bytes((UDP4[at] ^ change,)))
    try:
        packet = parse(changed)
    except DecodeError:
        return
    # the frame's addresses, and UDP's checksum, are not looked at
    assert packet != parse(UDP4) or at < 12 or at in {40, 41}
