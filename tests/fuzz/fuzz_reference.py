"""The signed reference: any bytes are one in its one form or a DecodeError; one verifies."""

import contextlib

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.pki import reference
from sdbox_centre import desk
from tests.pki import grown

CARD = grown.card().certificates
ANCHORS = [grown.desk_authority().certificate_der]
SEEDS: list[bytes] = [desk.sign(b"x" * 20, CARD, grown.SUBJECT, grown.NOW, grown.signer())]


def target(data: bytes) -> None:
    """Parse and verify; nothing but the seed itself holds."""
    with contextlib.suppress(DecodeError):
        assert reference.encode(reference.parse(data)) == data
    with contextlib.suppress(Refused):
        reference.verify(data, ANCHORS, CARD, grown.SUBJECT.enrolment, grown.NOW_S)
        assert data in SEEDS
