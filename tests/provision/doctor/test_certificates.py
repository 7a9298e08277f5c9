"""The dates of the box's own certificates and of the authorities it believes."""

import contextlib
import datetime as dt
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.provision.doctor import certificates
from sdbox_agent.provision.doctor.finding import Result
from tests.certificates import make

BEGINS = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
YEAR = make("box", BEGINS, 365).certificate
OLD = make("old", BEGINS - dt.timedelta(days=400), 365).certificate
LONG = make("long", BEGINS, 4000).certificate


@pytest.mark.parametrize(
    ("day", "result", "code"),
    [
        (-1, Result.FAILED, "box-certificate-expired"),
        (1, Result.OK, ""),
        (250, Result.OK, ""),  # renewed at two thirds: 243
        (260, Result.WARN, "box-certificate-ending"),
        (364, Result.WARN, "box-certificate-ending"),
        (366, Result.FAILED, "box-certificate-expired"),
    ],
)
def test_a_box_renews_in_time(day: int, result: Result, code: str) -> None:
    found = certificates.own("tls", YEAR, BEGINS + dt.timedelta(days=day))
    assert (found.result, found.code) == (result, code)
    assert "2026-03-01" in found.detail


@pytest.mark.parametrize(
    ("found", "day", "code"),
    [
        ((YEAR,), 1, ""),
        ((YEAR,), 300, "anchor-ending"),
        ((YEAR, LONG), 300, ""),  # the next one is there already
        ((OLD,), 1, "anchor-expired"),
        ((OLD, YEAR), 1, ""),
        ((YEAR,), -1, "anchor-expired"),  # not yet valid
        ((), 1, "anchor-expired"),
    ],
)
def test_one_authority_that_lasts_is_enough(found, day: int, code: str) -> None:
    assert certificates.anchors("cards.pem", found, BEGINS + dt.timedelta(days=day)).code == code


def test_a_file_is_read_whole_or_refused() -> None:
    one, other = make("a", BEGINS, 1), make("b", BEGINS, 1)
    assert len(certificates.parse(one.pem + b"text between\n" + other.pem)) == 2
    for wrong in (b"", b"text", one.der, one.pem[:200]):
        with pytest.raises(DecodeError):
            certificates.parse(wrong)


@given(st.binary(max_size=64), st.integers(0, 400))
def test_damage_is_one_error(damage: bytes, at: int) -> None:
    pem = bytearray(PEM)
    pem[at : at + len(damage)] = damage
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(DecodeError):
            certificates.parse(bytes(pem))


PEM = make("damaged", BEGINS, 1).pem
