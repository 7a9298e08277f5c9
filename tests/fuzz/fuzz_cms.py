"""The sealed message: any bytes are a message in its one form or a DecodeError."""

import contextlib

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import cms
from sdbox_centre import sealing
from tests.pki import grown

RECIPIENT = grown.card().certificates.key_management
SEEDS: list[bytes] = [
    sealing.seal(b"x" * 20, grown.card(kind).certificates.key_management)
    for kind in ("p256", "p384", "rsa2048")
]


def target(data: bytes) -> None:
    """Parse; what is accepted encodes to the input, and opens with no key but the right one."""
    try:
        sealed = cms.parse(data)
    except DecodeError:
        return
    assert cms.encode(sealed) == data
    with contextlib.suppress(Refused):
        cms.decrypt(sealed, bytes(32), RECIPIENT)
        raise AssertionError("opened without its key")
