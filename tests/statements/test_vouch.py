import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields, vouch
from tests.statements.test_fields import digests, names

vouchings = st.builds(vouch.Vouch, box=names, challenge=digests, key_sha256=digests)


@given(vouchings)
def test_what_was_said_comes_back_as_it_went(said: vouch.Vouch) -> None:
    assert vouch.parse(vouch.encode(said)) == said


@given(vouchings, st.sampled_from([" ", "\n", "key order", "escape", "unknown", "long"]))
def test_it_has_one_form(said: vouch.Vouch, change: str) -> None:
    payload = vouch.encode(said)
    other = {
        " ": payload.replace(b":", b": ", 1),
        "\n": payload + b"\n",
        "key order": json.dumps(
            dict(reversed(json.loads(payload).items())), separators=(",", ":")
        ).encode(),
        "escape": payload.replace(b'"box"', b'"bo\\u0078"', 1),
        "unknown": payload[:-1] + b',"x":1}',
        "long": payload + b" " * vouch.MAX_PAYLOAD_BYTES,
    }[change]
    with pytest.raises(DecodeError):
        vouch.parse(other)


@given(st.binary())
@example(b"\xff")
@example(b"[" * 500)
@example(b'{"box":"\\ud800"}')
def test_anything_else_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        vouch.parse(payload)


@given(vouchings)
def test_no_statement_of_a_session_can_be_one(said: vouch.Vouch) -> None:
    """Nor the other way: what a card signs, and the receipt beside it, vouches for no key."""
    assert vouch.TYP not in fields.TYPES
    for typ in fields.TYPES:
        with pytest.raises(DecodeError):
            fields.parse(typ, vouch.encode(said))
    renew = fields.Renew(box=said.box, session="s", challenge=said.challenge, n=1)
    with pytest.raises(DecodeError):
        vouch.parse(fields.encode(renew))
