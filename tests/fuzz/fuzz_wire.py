"""Bodies of requests and answers between box and centre."""

import contextlib

from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES

PARSERS = (wire,)
KINDS = (
    wire.HelloRequest,
    wire.HelloAnswer,
    wire.ProofRequest,
    wire.ProofAnswer,
    wire.AttemptRequest,
    wire.AttemptAnswer,
    wire.ReceiptRequest,
    wire.ReceiptAnswer,
    wire.RenewRequest,
    wire.RenewAnswer,
    wire.EndRequest,
    wire.EndAnswer,
    wire.CrlsAnswer,
    wire.LinkRequest,
    wire.HealthRequest,
    wire.HealthAnswer,
    *wire.EVENTS.values(),
    wire.Problem,
)
KEY = bytes(range(32))
HELLO = wire.encode(
    wire.HelloRequest(
        box="test-box-01", session="b-1", boot_id="b", boot_counter=1, agent_version="0.1.0"
    )
)
SEEDS: list[bytes] = [
    HELLO,
    HELLO.replace(b"{", b'{"session":"b-2",', 1),
    wire.encode(wire.HelloAnswer(utc_s=1, wire=1, policy_version=1, challenge=KEY)),
    wire.encode(wire.AttemptRequest(session="b-1", challenge=KEY)),
    wire.encode(wire.AttemptRequest(session="b-1", challenge=KEY, otp="123456")),
    wire.encode(wire.AttemptAnswer(attempt=1, left=2, challenge=KEY, code_right=True)),
    wire.encode(
        wire.ProofAnswer(
            level=wire.Level.HOST_MATCH,
            policy=wire.Policy(version=1),
            grants=(wire.Grant(project="p", label="P"),),
            enrolment="e",
            reference=b"r",
            attempts_left=3,
            challenge=KEY,
        )
    ),
    wire.encode(
        wire.ReceiptAnswer(
            peer=KEY,
            psk_salt=KEY,
            kem_ciphertext=bytes(KEM_CIPHERTEXT_BYTES),
            endpoint="192.0.2.1:51820",
            addresses=("10.77.0.2/32",),
            vm="10.77.0.1",
            lease_s=60,
            challenge=KEY,
        )
    ),
    wire.encode(wire.ReceiptRequest(session="b-1", statement=b"jws", kem_key=bytes(KEM_KEY_BYTES))),
    wire.encode(wire.RenewAnswer(lease_s=60, challenge=KEY)),
    wire.encode(wire.EndAnswer()),
    wire.encode(wire.CrlsAnswer(crls=(b"a", b"b"))),
    wire.encode(wire.Problem(code="card-locked")),
    wire.encode(
        wire.HealthRequest(
            boot_id="b",
            boot_counter=1,
            n=1,
            agent_version="0.1.0",
            state="idle",
            tunnel=False,
            utc_s=None,
            readers=1,
            sensor=True,
            audit_percent=3,
        )
    ),
    wire.encode(wire.Revoked(session="b-1", code="revoked")),
    b"[" * 2000,
    b'{"code":"\xff"}',
    bytes(wire.MAX_BODY_BYTES + 1),
]
TOKENS = sorted({b'"%s":' % name.encode() for kind in KINDS for name in kind.__struct_fields__})


def target(data: bytes) -> None:
    """A message of a kind is written and read again as itself, and never shows a key."""
    for kind in KINDS:
        try:
            message = wire.decode(data, kind)
        except DecodeError:
            continue
        assert wire.decode(wire.encode(message), kind) == message
        if isinstance(message, wire.ReceiptAnswer | wire.AttemptRequest):
            assert repr(message) == f"<{kind.__name__}>"
    with contextlib.suppress(DecodeError):
        wire.decode(data, wire.EndAnswer, limit_bytes=1)
        raise AssertionError("too large, and read")
