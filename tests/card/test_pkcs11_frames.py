"""What the library's process says is read as from a stranger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import pkcs11_frames as frames
from sdbox_agent.errors import DecodeError

DER = st.binary(min_size=1, max_size=300)
LEFT = st.integers(0, 2)
REPLIES = st.one_of(
    st.builds(frames.Shown, DER, DER, DER, left=LEFT, pad=st.booleans()),
    st.builds(frames.Done, st.binary(max_size=512)),
    st.builds(frames.Wrong, LEFT),
    st.builds(frames.Failed, st.sampled_from(["card-failed", "card-removed", "ambiguous-card"])),
)
REQUESTS = st.one_of(
    st.builds(
        frames.Open,
        st.text(min_size=1, max_size=50),
        st.text(st.characters(codec="ascii"), max_size=16),
    ),
    st.just(frames.Login()),
    st.builds(
        frames.Sign,
        st.sampled_from(["9A", "9E"]),
        st.sampled_from(["ecdsa", "pss"]),
        st.binary(min_size=32, max_size=48),
    ),
    st.builds(
        frames.Unwrap,
        st.sampled_from(["ecdh", "rsa-oaep-sha256"]),
        st.binary(min_size=1, max_size=512),
    ),
)


@given(REPLIES)
def test_a_reply_comes_back_as_it_went(reply: frames.Reply) -> None:
    assert frames.decode_reply(frames.encode(reply)) == reply


@given(REQUESTS)
def test_a_request_comes_back_as_it_went(request: frames.Request) -> None:
    assert frames.decode_request(frames.encode(request)) == request


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_one_error(data: bytes) -> None:
    for decode in (frames.decode_reply, frames.decode_request):
        try:
            decode(data)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    "reply",
    [
        {"t": "failed", "code": "its own words"},
        {"t": "done", "value": bytes(513)},
        {"t": "done", "value": b"", "more": 1},
        {"t": "wrong", "left": 3},
        {"t": "shown", "auth": b"", "key_management": b"a", "card_auth": b"a", "left": 0, "pad": 0},
        {"t": "open", "module": "/a", "serial": ""},
        {"value": b""},
    ],
)
def test_a_reply_beyond_its_bounds_is_refused(reply: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        frames.decode_reply(frames.encode(reply))


def test_a_pin_is_no_message() -> None:
    """So that no decoder of ours ever makes an object of it."""
    with pytest.raises(DecodeError):
        frames.decode_request(bytes([frames.PIN]) + b"123456\xff\xff")
