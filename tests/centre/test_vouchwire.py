"""What is said to be given a short certificate: closed, and bounded."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.centre import vouchwire, wire
from sdbox_agent.errors import DecodeError
from sdbox_agent.pki import csr

some = st.binary(min_size=1, max_size=1024)
requests = st.builds(vouchwire.VouchRequest, request=some, statement=some)


@given(requests)
def test_a_request_comes_back_as_it_went_and_is_never_too_large(asked) -> None:
    body = wire.encode(asked)
    assert wire.decode(body, vouchwire.VouchRequest, vouchwire.MAX_REQUEST_BYTES) == asked


def test_a_request_may_be_as_long_as_it_is_taken() -> None:
    assert vouchwire.MAX_CSR_BYTES == csr.MAX_CSR_BYTES


@pytest.mark.parametrize(
    "body",
    [
        b'{"v":2,"request":"AA==","statement":""}',
        b'{"v":2,"request":"","statement":"AA=="}',
        b'{"v":1,"request":"AA==","statement":"AA=="}',
        b'{"v":2,"request":"AA==","statement":"AA==","box":"b"}',
        b'{"v":2,"request":"AA==","request":"AA==","statement":"AA=="}',
        b'{"v":2,"request":"%s","statement":"AA=="}' % (b"AAAA" * 400),
    ],
)
def test_what_is_not_one_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError):
        wire.decode(body, vouchwire.VouchRequest, vouchwire.MAX_REQUEST_BYTES)


@given(st.binary(max_size=200))
def test_anything_else_is_a_decode_error(body: bytes) -> None:
    for kind in (vouchwire.VouchRequest, vouchwire.VouchAnswer, vouchwire.ChallengeAnswer):
        with contextlib.suppress(DecodeError):
            assert wire.decode(wire.encode(wire.decode(body, kind)), kind)
