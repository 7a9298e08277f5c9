"""What a library's process may answer, and what it is asked: a frame, or one error."""

from sdbox_agent.card import pkcs11_frames as frames
from sdbox_agent.errors import DecodeError

PARSERS = (frames,)
SEEDS: list[bytes] = [
    frames.encode(frames.Shown(b"0", b"0", b"0", left=2, pad=False)),
    frames.encode(frames.Done(b"s" * 64)),
    frames.encode(frames.Wrong(1)),
    frames.encode(frames.Failed("card-failed")),
    frames.encode(frames.Open("/usr/lib/x.so", "0123456789abcdef")),
    frames.encode(frames.Login()),
    frames.encode(frames.Sign("9A", "pss", bytes(32))),
    frames.encode(frames.Unwrap("ecdh", b"\x04" + bytes(64))),
    bytes([frames.PIN]) + b"000000\xff\xff",
]


def target(data: bytes) -> None:
    """Either reader; what it takes comes back as it went."""
    for decode in (frames.decode_reply, frames.decode_request):
        try:
            frame = decode(data)
        except DecodeError:
            continue
        if decode(frames.encode(frame)) != frame:
            raise AssertionError("another frame")
