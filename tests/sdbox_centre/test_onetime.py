import base64
import hashlib
import hmac
from urllib.parse import parse_qs, urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_centre import onetime
from sdbox_centre.onetime import DIGITS, SECRET_BYTES, STEP_S, step_of

RFC_SECRET = b"12345678901234567890"
# RFC 6238 appendix B, SHA-1: its eight digits end in the six of the same truncation.
RFC_6238 = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
    20000000000: "65353130",
}
# RFC 4226 appendix D: the codes of counters 0 to 9.
RFC_4226 = [
    "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
    "520489",
]  # fmt: skip

secrets = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)
moments = st.integers(STEP_S * 10, 2**36)


def code_of(secret: bytes, step: int) -> str:
    """RFC 4226 section 5.3, written again."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


@pytest.mark.parametrize(("now_s", "code"), RFC_6238.items())
def test_the_standards_own_codes_are_right(now_s: int, code: str) -> None:
    assert step_of(RFC_SECRET, code[-DIGITS:], now_s, 0) == now_s // STEP_S


@pytest.mark.parametrize(("step", "code"), list(enumerate(RFC_4226))[1:])
def test_codes_by_counter_are_those_of_its_forerunner(step: int, code: str) -> None:
    assert step_of(RFC_SECRET, code, step * STEP_S, 0) == step


@given(secrets, moments, st.integers(-5, 5))
def test_a_code_is_good_one_step_either_way(secret: bytes, now_s: int, off: int) -> None:
    now = now_s // STEP_S
    found = step_of(secret, code_of(secret, now + off), now_s, 0)
    if abs(off) <= 1:
        assert found is not None
        assert code_of(secret, found) == code_of(secret, now + off)
    else:  # unless two steps happen to have one code
        window = {code_of(secret, now + near) for near in (-1, 0, 1)}
        assert (found is not None) == (code_of(secret, now + off) in window)


@given(secrets, moments, st.integers(-2, 2))
def test_a_step_is_used_once_and_all_before_it(secret: bytes, now_s: int, used: int) -> None:
    now = now_s // STEP_S
    for off in (-1, 0, 1):
        found = step_of(secret, code_of(secret, now + off), now_s, now + used)
        assert found is None or found > now + used
        if off > used:
            assert found is not None


@given(secrets, moments, st.text("0123456789", min_size=6, max_size=8))
def test_any_other_digits_are_wrong(secret: bytes, now_s: int, code: str) -> None:
    window = {code_of(secret, now_s // STEP_S + off) for off in (-1, 0, 1)}
    assert (step_of(secret, code, now_s, 0) is None) == (code not in window)


def test_every_step_of_the_window_is_computed_whichever_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bytes] = []
    real = hmac.compare_digest
    monkeypatch.setattr(
        onetime.hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b)
    )
    for code, last in ((RFC_4226[4], 0), (RFC_4226[6], 0), (RFC_4226[5], 5), ("000000", 0)):
        step_of(RFC_SECRET, code, 5 * STEP_S, last)
    assert compared == [code.encode() for code in (RFC_4226[6], RFC_4226[5], RFC_4226[4])] * 4


def test_a_device_reads_the_secret_from_its_uri() -> None:
    read = urlparse(onetime.uri(RFC_SECRET, "test-enrolment-01"))
    assert (read.scheme, read.netloc) == ("otpauth", "totp")
    assert read.path == "/SD-Box:test-enrolment-01"
    fields = {name: value for name, (value,) in parse_qs(read.query).items()}
    assert fields["issuer"] == "SD-Box"
    assert (fields["algorithm"], fields["digits"], fields["period"]) == ("SHA1", "6", "30")
    assert base64.b32decode(fields["secret"]) == RFC_SECRET
