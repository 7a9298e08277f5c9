"""The file of a wrapped key: one form, one kind of key."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.identity import tpmfile
from sdbox_agent.identity.tpmfile import ATTRIBUTES, HEAD, WrappedKey
from tests.fuzz.fuzz_wrapped_key import CHIP, PRIVATE, PUBLIC, target, wrapped

WHOLE = wrapped(PUBLIC)


def sized(area: bytes) -> bytes:
    return len(area).to_bytes(2) + area


def point(x: int, y: int, x_bytes: int = 32, y_bytes: int = 32) -> bytes:
    return sized(x.to_bytes(x_bytes)) + sized(y.to_bytes(y_bytes))


NUMBERS = tpmfile.parse(WHOLE).public_key.public_numbers()


@given(st.integers(1, 2**255), st.binary(min_size=34, max_size=34), st.binary(min_size=1))
def test_what_is_encoded_is_read_back(scalar: int, chip: bytes, private: bytes) -> None:
    numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    key = WrappedKey(chip, sized(HEAD + point(numbers.x, numbers.y)), sized(private))
    assert tpmfile.parse(tpmfile.encode(key)) == key
    assert key.public_key.public_numbers() == numbers


@given(st.binary(max_size=400))
def test_arbitrary_bytes_give_one_error(data: bytes) -> None:
    target(data)


@given(st.data())
def test_any_changed_byte_gives_one_error_or_another_key(data: st.DataObject) -> None:
    changed = bytearray(WHOLE)
    changed[data.draw(st.integers(0, len(WHOLE) - 1))] ^= data.draw(st.integers(1, 255))
    target(bytes(changed))


def test_openssl_reads_the_same_in_it(tmp_path: Path) -> None:
    lines = WHOLE.split(b"\n")[1:]  # without ours
    path = tmp_path / "statement.tpm"
    path.write_bytes(b"\n".join(lines))
    done = subprocess.run(
        ["openssl", "asn1parse", "-in", str(path)], capture_output=True, text=True, check=True
    )
    values = [line.rsplit(":", 1)[-1].strip() for line in done.stdout.splitlines()]
    assert values == [
        "SEQUENCE", "2.23.133.10.1.3", "cont [ 0 ]", "255", "40000001",
        PUBLIC.hex().upper(), PRIVATE.hex().upper(),
    ]  # fmt: skip


def test_coordinates_without_their_leading_zeros_are_taken_as_they_are() -> None:
    scalar = next(
        n
        for n in range(1, 2000)
        if ec.derive_private_key(n, ec.SECP256R1()).public_key().public_numbers().x < 2**248
    )
    numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    short = sized(HEAD + point(numbers.x, numbers.y, x_bytes=31))
    assert tpmfile.parse(wrapped(short)).public_key.public_numbers() == numbers


def kinds() -> dict[str, bytes]:
    """Public areas that are not of the one kind."""
    good = point(NUMBERS.x, NUMBERS.y)
    areas = {
        "RSA": HEAD.replace(b"\x00\x23", b"\x00\x01", 1) + good,
        "P-384": HEAD.replace(b"\x00\x03\x00\x10", b"\x00\x04\x00\x10") + good,
        "off the curve": HEAD + point(NUMBERS.x, NUMBERS.y ^ 1),
        "too long a coordinate": HEAD + point(NUMBERS.x, NUMBERS.y, x_bytes=33),
        "no coordinate": HEAD + bytes(4),
        "cut": HEAD + good[:-1],
        "trailing": HEAD + good + b"\0",
    }
    for name, bit in {
        "may leave the chip": tpmfile.FIXED_TPM,
        "may have another parent": tpmfile.FIXED_PARENT,
        "was made elsewhere": tpmfile.SENSITIVE_DATA_ORIGIN,
        "restricted": tpmfile.RESTRICTED,
        "decrypts": tpmfile.DECRYPT,
    }.items():
        changed = (ATTRIBUTES ^ bit).to_bytes(4)
        areas[name] = HEAD.replace(ATTRIBUTES.to_bytes(4), changed, 1) + good
    return areas


@pytest.mark.parametrize("kind", kinds())
def test_a_key_of_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(DecodeError, match=r"^wrapped key: "):
        tpmfile.parse(wrapped(sized(kinds()[kind])))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        WHOLE[:-1],
        WHOLE + b"\n",
        WHOLE.split(b"\n", 1)[1],  # which chip?
        WHOLE.replace(b"Chip: 000b", b"Chip: 000B"),
        WHOLE.replace(b"\nM", b"\n=M", 1),
        WHOLE.replace(b"MI", b"M\nI", 1),
        WHOLE.replace(b"-----END", b"=\n-----END"),
        tpmfile.encode(WrappedKey(CHIP, PUBLIC, b"\0\0")),
        tpmfile.encode(WrappedKey(CHIP, PUBLIC, sized(bytes(1025)))),
        tpmfile.encode(WrappedKey(CHIP, PUBLIC, b"\0\5abc")),
        tpmfile.encode(WrappedKey(CHIP, b"\0", PRIVATE)),
        tpmfile.encode(WrappedKey(CHIP[:-1], PUBLIC, PRIVATE)),
    ],
)
def test_another_form_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        tpmfile.parse(data)


def test_another_parent_is_refused() -> None:
    with pytest.raises(DecodeError, match="another parent"):
        tpmfile.parse(wrapped(PUBLIC, parent=0x81000001))
