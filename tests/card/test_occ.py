"""The BIT group, byte by byte, and how a probe is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import apdu, occ
from sdbox_agent.cardkind import Bit
from sdbox_agent.errors import Bug, DecodeError

BIT = Bit(key="96", position=2, minimum=12, maximum=60, order=9)
ONE = "830196A11781010882010987020101880200 05B10781020C3C820109".replace(" ", "")
GROUP = bytes.fromhex("7F6122020101" + "7F601C" + ONE)
TWO = bytes.fromhex(
    "7F6141020102" + "7F601C" + ONE + "7F601C" + ONE.replace("830196", "830197")
)  # SP 800-73pt1-5: at most 65 bytes of content


def bits() -> st.SearchStrategy[Bit]:
    bounds = st.tuples(st.integers(1, 255), st.integers(1, 255)).map(sorted)
    return st.builds(
        lambda bound, **more: Bit(key="96", minimum=bound[0], maximum=bound[1], **more),
        bounds,
        position=st.integers(0, 10),
        order=st.integers(0, 255),
    )


def groups() -> st.SearchStrategy[tuple[Bit, ...]]:
    other = bits().map(
        lambda bit: Bit(**{f: getattr(bit, f) for f in bit.__struct_fields__} | {"key": "97"})
    )
    return st.one_of(
        st.just(()), st.tuples(bits()), st.tuples(bits(), other), st.tuples(other, bits())
    )


def test_a_group_reads_as_the_standard_has_it() -> None:
    assert occ.decode_bits(GROUP) == (BIT,)
    assert [bit.key for bit in occ.decode_bits(TWO)] == ["96", "97"]
    assert len(TWO) == 3 + 65


def test_a_group_may_say_that_there_is_none() -> None:
    assert occ.decode_bits(bytes.fromhex("7F6103020100")) == ()


@pytest.mark.parametrize(
    ("subtype", "position"),
    [
        (0, 0),
        (5, 1),
        (9, 2),
        (13, 3),
        (17, 4),
        (21, 5),
        (6, 6),
        (10, 7),
        (14, 8),
        (18, 9),
        (22, 10),
    ],
)
def test_each_finger_has_its_position(subtype: int, position: int) -> None:
    data = GROUP.replace(b"\x82\x01\x09\x87", b"\x82\x01" + bytes([subtype]) + b"\x87")
    assert occ.decode_bits(data)[0].position == position


@given(groups())
def test_what_is_written_is_read(group: tuple[Bit, ...]) -> None:
    assert occ.decode_bits(occ.encode_bits(group)) == group


@given(st.integers(0, len(GROUP) - 1), st.integers(1, 255))
def test_a_damaged_group_is_read_or_refused(at: int, flip: int) -> None:
    data = bytearray(GROUP)
    data[at] ^= flip
    try:
        read = occ.decode_bits(bytes(data))
    except DecodeError:
        return
    assert occ.decode_bits(occ.encode_bits(read)) == read


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("020101", "020102"),  # two, and one is there
        ("020101", "030101"),
        ("7F60", "7F62"),
        ("830196", "830198"),  # no such reference
        ("810108", "810102"),  # a face
        ("87020101", "87020102"),
        ("88020005", "88020003"),  # another format
        ("820109870", "820107870"),  # both hands
        ("81020C3C", "81023C0C"),  # at least 60, at most 12
        ("81020C3C", "8102003C"),
        ("820109", "840109"),
    ],
)
def test_another_group_is_refused(before: str, after: str) -> None:
    text = GROUP.hex().upper()
    assert before in text
    index = text.rindex(before) if before == "820109" else text.index(before)
    with pytest.raises(DecodeError):
        occ.decode_bits(bytes.fromhex(text[:index] + after + text[index + len(before) :]))


@pytest.mark.parametrize("features", ["830100", "830101"])
def test_only_features_that_are_none_are_taken(features: str) -> None:
    longer = ONE.replace("B107", "B10A").replace("A117", "A11A") + features
    group = bytes.fromhex("7F6125020101" + "7F601F" + longer)
    if features == "830100":
        assert occ.decode_bits(group) == (BIT,)
    else:
        with pytest.raises(DecodeError):
            occ.decode_bits(group)


@pytest.mark.parametrize("field", ["82020909", "820209098"])
def test_a_field_of_another_size_is_refused(field: str) -> None:
    longer = ONE[:-6].replace("B107", "B108").replace("A117", "A118") + "82020909"
    with pytest.raises(DecodeError):
        occ.decode_bits(bytes.fromhex("7F6123020101" + "7F601D" + longer))


def test_a_finger_twice_and_a_third_are_refused() -> None:
    for count, times in ((2, 2), (3, 3)):
        content = f"0201{count:02X}" + ("7F601C" + ONE) * times
        with pytest.raises(DecodeError):
            occ.decode_bits(bytes.fromhex(f"7F61{len(content) // 2:02X}" + content))
    with pytest.raises(DecodeError):
        occ.decode_bits(bytes.fromhex("7F6100"))


def frames(count: int, form: str) -> list[str]:
    wide = Bit(key="97", position=0, minimum=1, maximum=255, order=0)
    return [frame.hex() for frame in apdu.frames(occ.compare(wide, bytes(3 * count), form))]


def test_a_probe_goes_raw_or_wrapped() -> None:
    assert frames(12, "raw") == ["0020009724" + "00" * 36]
    assert frames(12, "7f2e") == ["0021009729" + "7f2e26" + "8124" + "00" * 36]


@pytest.mark.parametrize(
    ("count", "raw", "wrapped"), [(82, 1, 1), (83, 1, 2), (85, 1, 2), (86, 2, 2)]
)
def test_a_long_probe_is_chained(count: int, raw: int, wrapped: int) -> None:
    """82 minutiae are the most that fit one short command wrapped (lengths in DER), 85 raw."""
    assert [len(frames(count, form)) for form in ("raw", "7f2e")] == [raw, wrapped]
    assert frames(count, "7f2e")[0].startswith("10210097ff" if wrapped == 2 else "00210097")


@pytest.mark.parametrize("size", [0, 3, 35, 37, 38, 183, 36 - 3])
def test_a_probe_the_card_would_refuse_is_not_sent(size: int) -> None:
    with pytest.raises(Bug, match="worker-protocol"):
        occ.compare(BIT, bytes(size), "raw")
