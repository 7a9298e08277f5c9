import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from tests.fuzz import fuzz_statements

names = st.from_regex(r"\A[A-Za-z0-9._:-]{1,100}\Z")
digests = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**31)
whose = {"box": names, "session": names, "challenge": digests}
statements = st.one_of(
    st.builds(fields.Proof, **whose),
    st.builds(fields.Renew, **whose, n=counts),
    st.builds(
        fields.Receipt,
        **whose,
        enrolment=names,
        reference_sha256=st.none() | digests,
        attempt=counts,
        level=st.sampled_from(Level),
        project=names,
        wg_public_key=digests,
        kem_key_sha256=digests,
        utc_s=st.integers(0, 2**40),
    ),
)


@given(statements)
def test_a_statement_comes_back_as_it_went(statement: fields.Statement) -> None:
    assert fields.parse(fields.typ_of(statement), fields.encode(statement)) == statement


@given(statements, st.sampled_from([" ", "\n", "key order", "escape", "unknown"]))
def test_a_statement_has_one_form(statement: fields.Statement, change: str) -> None:
    payload = fields.encode(statement)
    other = {
        " ": payload.replace(b":", b": ", 1),
        "\n": payload + b"\n",
        "key order": json.dumps(
            dict(reversed(json.loads(payload).items())), separators=(",", ":")
        ).encode(),
        "escape": payload.replace(b'"box"', b'"bo\\u0078"', 1),
        "unknown": payload[:-1] + b',"x":1}',
    }[change]
    with pytest.raises(DecodeError):
        fields.parse(fields.typ_of(statement), other)


@given(st.sampled_from(["proof", "receipt", "renew", "unlock", ""]), st.binary())
@example("proof", b"\xff")
@example("proof", b"[" * 4000)
@example("proof", b'{"box":"\\ud800"}')
def test_anything_else_is_a_decode_error(typ: str, payload: bytes) -> None:
    with pytest.raises(DecodeError):
        fields.parse(typ, payload)


def test_a_name_holds_no_line_end_at_its_end() -> None:
    """Python's `$` matches before a last newline; a name goes to files and logs."""
    payload = fields.encode(fields.Proof(box="b", session="s", challenge=bytes(32)))
    with pytest.raises(DecodeError):
        fields.parse("proof", payload.replace(b'"b"', b'"b\\n"'))


def test_a_receipt_that_names_no_post_quantum_key_is_none() -> None:
    payload = json.loads(fuzz_statements.SEEDS[2])
    without = {name: said for name, said in payload.items() if name != "kem_key_sha256"}
    for said in (without, {**payload, "kem_key_sha256": None}, {**payload, "kem_key_sha256": ""}):
        with pytest.raises(DecodeError):
            fields.parse("receipt", json.dumps(said, separators=(",", ":")).encode())


def test_a_statement_is_known_by_what_it_says() -> None:
    for typ, payload in zip(("proof", "renew", "receipt"), fuzz_statements.SEEDS, strict=False):
        assert fields.digest(fields.parse(typ, payload)) == hashlib.sha256(payload).digest()


def test_every_flipped_bit_is_another_statement_or_none() -> None:
    for typ, payload in zip(("proof", "renew", "receipt"), fuzz_statements.SEEDS, strict=False):
        first = fields.parse(typ, payload)
        for at in range(len(payload) * 8):
            flipped = bytearray(payload)
            flipped[at // 8] ^= 1 << at % 8
            try:
                assert fields.parse(typ, bytes(flipped)) != first
            except DecodeError:
                continue


def test_a_proof_is_no_receipt() -> None:
    proof, renew, receipt = fuzz_statements.SEEDS[:3]
    for typ, payload in (
        ("receipt", proof),
        ("renew", proof),
        ("proof", renew),
        ("renew", receipt),
    ):
        with pytest.raises(DecodeError):
            fields.parse(typ, payload)


@pytest.mark.parametrize("seed", fuzz_statements.SEEDS)
def test_the_fuzz_target_takes_its_seeds(seed: bytes) -> None:
    fuzz_statements.target(seed)
