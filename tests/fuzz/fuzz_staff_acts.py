"""Staff's acts: payloads, and what a signed one says before anything of it is believed."""

import contextlib

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import jws
from sdbox_centre.staff import payload
from sdbox_centre.staff.ledger import claimed
from tests.sdbox_centre.staff import members as m

PARSERS = (payload.parse, payload.encode, claimed)
SAID = [payload.encode(act) for act in m.ACTS]
HEADS = [b'{"alg":"ES256","typ":"sdbox-staff","v":1,"x5t#S256":"AAAA"}', b"{}", b"[]", b'"']
SEEDS: list[bytes] = [
    *SAID,
    SAID[0].replace(b"{", b"{ ", 1),
    SAID[0].replace(b"test-motive", b" "),
    SAID[0].replace(b"test-motive", b"\\n"),
    SAID[2].replace(b'"finger":true', b'"finger":false'),
    SAID[3].replace(b'["host-match"]', b'["host-match","host-match"]'),
    SAID[-1].replace(b'"from_s":', b'"from_s":1'),
    bytes(payload.MAX_PAYLOAD_BYTES + 1),
    *(jws.assemble(SAID[0], [(head, b"s")]) for head in HEADS),
    jws.assemble(b"{}", []),
]
TOKENS = [b'"kind":', b'"n":1', b'"utc_s":', b'"motive":"m"', b'"holder":', b'"withdrawn":true']
TOKENS += [b'"revoked":true', b'"finger":false', b'"state":"open"', b'"countries":["FR"]']


def target(data: bytes) -> None:
    """An act has one form; whatever else comes is refused."""
    with contextlib.suppress(DecodeError):
        act = payload.parse(data)
        assert payload.encode(act) == data
        assert act.subject
    with contextlib.suppress(DecodeError):
        assert all(isinstance(one, bytes) for one in jws.signers(data))
    with contextlib.suppress(Refused):
        assert claimed(data).subject
