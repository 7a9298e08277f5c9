"""The mutations: a tree is read and written back, what comes out is bounded, and a seed decides."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import tlv
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der
from tests.fuzz import structure
from tests.pki import grown

CERTIFICATE = grown.card().certificates.auth
OBJECT = bytes.fromhex("53087003010203710100")


def test_a_certificate_is_read_to_its_depths_and_written_back() -> None:
    nodes = structure.read(CERTIFICATE)
    assert nodes is not None
    assert structure.written(nodes) == CERTIFICATE
    assert len(structure._places(nodes)) > 50


def test_what_a_primitive_value_holds_is_read_too() -> None:
    (node,) = structure.read(OBJECT) or []
    assert node.inner is not None
    assert [one.tag for one in node.inner] == [b"\x70", b"\x71"]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_tree_or_none(data: bytes) -> None:
    nodes = structure.read(data)
    assert nodes is None or isinstance(structure.written(nodes), bytes)


@given(st.integers(0, 2**32), st.integers(1, 2000))
def test_a_mutation_is_bounded_and_decided_by_its_seed(seed: int, size: int) -> None:
    one = structure.mutate(CERTIFICATE, size, seed)
    assert one is not None
    assert len(one) <= size
    assert one == structure.mutate(CERTIFICATE, size, seed)


def test_most_mutations_of_a_tree_are_trees_and_plain_ones_are_not() -> None:
    def well_formed(data: bytes) -> bool:
        try:
            der.check(data, 1 << 16)
        except DecodeError:
            return False
        return True

    rng = random.Random(1)
    ours = sum(
        well_formed(structure.mutate(CERTIFICATE, 1 << 16, seed) or b"") for seed in range(300)
    )
    plain = 0
    for _ in range(300):
        spoilt = bytearray(CERTIFICATE)
        del spoilt[rng.randrange(len(spoilt))]
        plain += well_formed(bytes(spoilt))
    assert ours > 150
    assert plain < 10


def test_something_that_is_no_tree_is_left_to_others() -> None:
    assert structure.mutate(b"", 100, 1) is None
    assert structure.mutate(b"\x30\x05x", 100, 1) is None


def test_an_element_is_swapped_and_the_lengths_are_put_right() -> None:
    swapped = structure.swapped(OBJECT, bytes.fromhex("710100"), bytes.fromhex("71020001"))
    assert swapped == bytes.fromhex("5309700301020371020001")
    assert tlv.one(swapped, 0x53)
    with pytest.raises(ValueError):
        structure.swapped(OBJECT, b"\x99\x00", b"")


@pytest.mark.parametrize("width", [1, 2])
@given(frames=st.lists(st.binary(max_size=255), max_size=6), seed=st.integers(0, 2**32))
def test_frames_stay_frames(width: int, frames: list[bytes], seed: int) -> None:
    data = structure.joined(frames, width)
    assert structure.cut(data, width) == frames
    changed = structure.framed(width, 2)(data, 4096, seed)
    if changed is not None:
        assert len(changed) <= 4096
        assert all(len(one) <= 0xFFFF for one in structure.cut(changed, width))
