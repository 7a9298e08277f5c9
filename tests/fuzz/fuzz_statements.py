"""Payloads of statements, and their JWS."""

from sdbox_agent.errors import DecodeError, Refused
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level

_MINE = {"box": "test-box-01", "session": "b-1", "challenge": bytes(range(32))}
SEEDS: list[bytes] = [
    fields.encode(fields.Proof(**_MINE)),
    fields.encode(fields.Renew(**_MINE, n=1)),
    fields.encode(
        fields.Receipt(
            **_MINE,
            enrolment="e",
            reference_sha256=bytes(32),
            attempt=1,
            level=Level.HOST_MATCH,
            project="p",
            wg_public_key=bytes(32),
            utc_s=1,
        )
    ),
    jws.assemble(b"{}", [(b"{}", b"s" * 64)]),
]


def target(data: bytes) -> None:
    for typ in fields.TYPES:
        try:
            statement = fields.parse(typ, data)
        except DecodeError:
            continue
        assert fields.encode(statement) == data
    for typ in fields.TYPES:
        try:
            jws.open_statement(typ, data, [b"not a certificate"])
        except Refused:
            continue
        raise AssertionError("opened without a key")
