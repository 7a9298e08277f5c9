"""DER: one encoding for each value, and nothing else gets in."""

import contextlib

import pytest
from asn1crypto import core
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import der, oids

OIDS = [v for k, v in vars(oids).items() if k.isupper()]


@pytest.mark.parametrize("dotted", [*OIDS, "0.0", "0.39", "1.39.1", "2.0", "2.999.3"])
def test_object_identifiers_are_written_as_asn1crypto_writes_them(dotted) -> None:
    encoded = der.oid(dotted)
    assert encoded == core.ObjectIdentifier(dotted).dump()
    assert der.Reader(encoded).oid() == dotted


@given(st.integers(0, 2**159 - 1))
def test_integers_round_trip(value) -> None:
    encoded = der.integer(value)
    assert encoded == core.Integer(value).dump()
    assert der.Reader(encoded).integer() == value


@given(st.integers(-2208988800, 253402300799))
@example(2524607999)  # the last second of 2049, and the first of 2050
@example(2524608000)
@example(-631152000)  # 1950
@example(-631152001)
def test_times_round_trip(epoch_s) -> None:
    assert der.Reader(der.time(epoch_s)).time_s() == epoch_s


@given(st.text(max_size=80))
def test_text_round_trips(text) -> None:
    assert der.Reader(der.utf8(text)).utf8(400) == text


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_lengths_are_minimal_at_each_border(size) -> None:
    encoded = der.octets(bytes(size))
    assert encoded == core.OctetString(bytes(size)).dump()
    assert der.Reader(encoded).octets() == bytes(size)


def test_a_set_is_in_order() -> None:
    parts = [der.integer(300), der.integer(7), der.utf8("a"), der.octets(b"")]
    assert der.set_of(*parts) == der.set_of(*reversed(parts))
    assert der.set_of(*parts)[2:] == b"".join(sorted(parts))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty", ""),
        ("a tag alone", "30"),
        ("indefinite length", "30800000"),
        ("length longer than the data", "0405aabb"),
        ("long form of a short length", "04810100"),
        ("leading zero in the length", "0482008000"),
        ("four octets of length", "048400000001aa"),
        ("reserved length form", "04ff00"),
        ("truncated length", "0482"),
        ("tag number above 30", "1f0100"),
        ("leading zero in a long length", "04820080" + "00" * 128),
    ],
)
def test_a_malformed_header_is_refused(name, data) -> None:
    with pytest.raises(DecodeError):
        der.check(bytes.fromhex(data), 100)
    with pytest.raises(DecodeError):
        der.Reader(bytes.fromhex(data)).raw()


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("integer", "0200"),
        ("integer", "02020001"),  # not minimal
        ("integer", "0201ff"),  # negative
        ("integer", "0215" + "01" * 21),
        ("integer", "040101"),  # another tag
        ("oid", "0600"),
        ("oid", "060180"),
        ("oid", "06022a80"),
        ("oid", "06022a81"),  # ends within an arc
        ("oid", "06032a8001"),  # an arc with a leading zero
        ("oid", "0615" + "2a" + "ff" * 19 + "01"),  # an arc above 128 bits
        ("oid", "0641" + "2a" * 65),
        ("bits", "0300"),
        ("bits", "03020780"),  # unused bits
        ("time_s", "170b3236303330313132303030305a"),
        ("time_s", "170d3236303330313132303030302b"),
        ("time_s", "1810" + b"205003011200005Z".hex()),  # seconds of three digits
        ("time_s", "180e" + b"2050030112005Z".hex()),  # and of one
        ("time_s", "170d3236313330313132303030305a"),  # month 13
        ("time_s", "170d3236303330313132303036305a"),  # second 60
        ("time_s", "170d20363033303131323030305a5a"),
        ("time_s", "180f32303236303330313132303030305a"),  # belongs in a UTCTime
    ],
)
def test_a_value_with_another_encoding_is_refused(method, data) -> None:
    with pytest.raises(DecodeError):
        getattr(der.Reader(bytes.fromhex(data)), method)()


def test_text_is_bounded_and_utf8() -> None:
    for encoded in (der.utf8("é" * 51), b"\x0c\x02\xc3\x28"):
        with pytest.raises(DecodeError):
            der.Reader(encoded).utf8(100)


def test_trailing_bytes_depth_and_size_are_refused() -> None:
    with pytest.raises(DecodeError):
        der.check(der.sequence() + b"\5\0", 100)
    with pytest.raises(DecodeError):
        der.Reader(b"\5\0").end()
    with pytest.raises(DecodeError):
        der.Reader(b"\5\0").expect(b"\5\1")
    with pytest.raises(DecodeError):
        der.check(der.octets(bytes(100)), 100)
    nested = b""
    for _ in range(der.MAX_DEPTH):
        nested = der.sequence(nested)
    der.check(nested, 100)
    with pytest.raises(DecodeError):
        der.check(der.sequence(nested), 100)


def test_content_beyond_the_length_form_is_not_written() -> None:
    with pytest.raises(ValueError):
        der.octets(bytes(2**24))


@given(st.binary(max_size=200))
@example(bytes.fromhex("30800000"))
def test_check_accepts_or_raises_decode_error(data) -> None:
    with contextlib.suppress(DecodeError):
        der.check(data, 150)


ELEMENTS = st.recursive(
    st.binary(max_size=140).map(der.octets) | st.integers(0, 2**150).map(der.integer),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: der.sequence(*parts)),
    max_leaves=10,
)


@given(ELEMENTS, st.integers(1, 40))
def test_whatever_is_written_is_well_formed_and_no_prefix_of_it_is(encoded, cut) -> None:
    der.check(encoded, 10_000)
    assert core.load(encoded, strict=True).dump(force=True) == encoded  # asn1crypto agrees
    with pytest.raises(DecodeError):
        der.check(encoded[:-cut], 10_000)
