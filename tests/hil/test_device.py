"""A device for one-time codes shows what the centre expects, and nothing twice."""

import pytest

from hil.device import STEP_S, Device
from sdbox_centre import onetime

SECRET = b"12345678901234567890"  # RFC 6238 appendix B
NOW_S = 1_800_000_000


@pytest.mark.parametrize(
    ("at_s", "code"), [(59, "287082"), (1111111109, "081804"), (2000000000, "279037")]
)
def test_the_vectors_of_the_standard(at_s: int, code: str) -> None:
    assert Device(SECRET, lambda: at_s).code() == code  # the last six of eight


def test_no_code_twice_and_none_more_than_a_step_ahead() -> None:
    slept: list[float] = []
    device = Device(SECRET, lambda: NOW_S + 15, slept.append)
    assert len({device.code() for _ in range(4)}) == 4
    assert slept == [STEP_S - 15, 2 * STEP_S - 15]


def test_it_reads_the_centres_uri_and_agrees_with_it() -> None:
    device = Device.from_uri(onetime.uri(SECRET, "test-enrolment-01"))
    device._clock_s = lambda: NOW_S
    assert onetime.step_of(SECRET, device.code(), NOW_S, -1) is not None


@pytest.mark.parametrize(
    "uri",
    ["", "https://totp/x?secret=AAAA", "otpauth://hotp/x?secret=AAAA&digits=6&period=30"],
)
def test_what_is_no_such_uri(uri: str) -> None:
    with pytest.raises(ValueError, match="codes"):
        Device.from_uri(uri)
