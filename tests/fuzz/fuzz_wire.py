"""Bodies of requests and answers between box and centre."""

from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError

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
    wire.CrlsAnswer,
    wire.Problem,
)
KEY = bytes(range(32))
SEEDS: list[bytes] = [
    wire.encode(
        wire.HelloRequest(
            box="test-box-01", session="b-1", boot_id="b", boot_counter=1, agent_version="0.1.0"
        )
    ),
    wire.encode(wire.HelloAnswer(utc_s=1, wire=1, policy_version=1, challenge=KEY)),
    wire.encode(wire.AttemptRequest(session="b-1", challenge=KEY)),
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
            psk=KEY,
            endpoint="192.0.2.1:51820",
            addresses=("10.77.0.2/32",),
            vm="10.77.0.1",
            lease_s=60,
            challenge=KEY,
        )
    ),
    wire.encode(wire.Problem(code="card-locked")),
]


def target(data: bytes) -> None:
    for kind in KINDS:
        try:
            message = wire.decode(data, kind)
        except DecodeError:
            continue
        assert wire.decode(wire.encode(message), kind) == message
