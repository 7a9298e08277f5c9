"""A device for one-time codes shows what the centre expects."""

import pytest

from hil.device import Device
from sdbox_centre import onetime

SECRET = b"12345678901234567890"  # RFC 6238 appendix B


def test_the_vectors_of_the_standard() -> None:
    shown = {59: "287082", 1111111109: "081804", 2000000000: "279037"}  # the last six of eight
    for utc_s, code in shown.items():
        assert Device(SECRET).code(utc_s) == code


def test_it_reads_the_centres_uri_and_agrees_with_it() -> None:
    device = Device.from_uri(onetime.uri(SECRET, "test-enrolment-01"))
    assert device.secret == SECRET
    assert onetime.step_of(SECRET, device.code(1_800_000_000), 1_800_000_000, -1) is not None
    assert len(device.code()) == 6
    assert "secret" not in repr(device)


@pytest.mark.parametrize(
    "uri",
    ["", "https://totp/x?secret=AAAA", "otpauth://hotp/x?secret=AAAA&digits=6&period=30"],
)
def test_what_is_no_such_uri(uri) -> None:
    with pytest.raises(ValueError, match="codes"):
        Device.from_uri(uri)
