"""Descriptors as a device gives them: the interfaces that udev's usb_id finds, or an error."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.profile.usbdescriptors import MAX_BYTES, MAX_KINDS, interfaces
from tests.fuzz.fuzz_usb_descriptors import DEVICE, ENDPOINT, KEYBOARD, configuration, interface

KINDS = st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=20)


def test_a_keyboards_two_interfaces_are_found() -> None:
    assert interfaces(KEYBOARD) == ("030101", "030000")


@given(KINDS)
def test_each_kind_is_found_once_in_the_order_of_the_descriptors(kinds: list[bytes]) -> None:
    data = DEVICE + configuration(*(interface(kind) + ENDPOINT for kind in kinds))
    assert interfaces(data) == tuple(dict.fromkeys(kind.hex() for kind in kinds))


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda more: KEYBOARD + more))
@example(b"")
@example(DEVICE[:17])
@example(KEYBOARD + b"\xff\x04")
def test_anything_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        found = interfaces(data)
        assert all(len(bytes.fromhex(each)) == 3 for each in found)
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("data", [b"", DEVICE[:17], bytes([255]) + bytes(17), bytes(MAX_BYTES + 1)])
def test_what_is_no_devices_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        interfaces(data)


def test_the_last_nine_bytes_are_not_looked_at_as_udev_does_not() -> None:
    bare = DEVICE + configuration(interface(b"\x03\x01\x01"))
    assert interfaces(bare) == ()
    assert interfaces(bare + b"\0") == ("030101",)


def test_what_is_too_short_ends_it_and_what_was_found_stays() -> None:
    data = DEVICE + configuration(interface(b"\x08\x06\x50"), b"\x02\xff" + bytes(20))
    assert interfaces(data) == ("080650",)


def test_no_more_are_kept_than_udev_has_room_for() -> None:
    many = [interface(bytes([0xFF, n, 0])) + ENDPOINT for n in range(100)]
    assert len(interfaces(DEVICE + configuration(*many))) == MAX_KINDS
