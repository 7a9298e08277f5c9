"""The codes of RFC 6238, each once, and none that the centre would find too early."""

import pytest

from hil.codes import STEP_S, CodeDevice

SECRET = b"12345678901234567890"  # RFC 6238 appendix B, SHA-1


@pytest.mark.parametrize(
    ("at_s", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")]
)
def test_the_standard_s_own_examples(at_s: int, code: str) -> None:
    assert CodeDevice(SECRET, lambda: at_s).code() == code


def test_no_code_twice_and_none_more_than_a_step_ahead() -> None:
    slept = []
    device = CodeDevice(SECRET, lambda: 3_000_015, slept.append)
    codes = [device.code() for _ in range(4)]
    assert len(set(codes)) == 4
    assert slept == [STEP_S - 15, 2 * STEP_S - 15]


def test_a_device_is_set_up_from_the_desk_s_uri() -> None:
    uri = "otpauth://totp/SD-Box:e1?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=SD-Box"
    assert CodeDevice.of_uri(uri)._totp.generate(59) == b"287082"
