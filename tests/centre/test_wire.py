import base64
import json

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from sdbox_agent.centre import wire
from sdbox_agent.errors import DecodeError
from sdbox_agent.terms import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES, Level
from tests.fuzz import fuzz_wire

names = st.from_regex(r"\A[A-Za-z0-9._:-]{1,100}\Z")
keys = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**31)
requests = st.one_of(
    st.builds(
        wire.HelloRequest,
        box=names,
        session=st.none() | names,
        boot_id=names,
        boot_counter=counts,
        agent_version=names,
    ),
    st.builds(wire.AttemptRequest, session=names, challenge=keys),
    st.builds(
        wire.ProofRequest,
        session=names,
        auth=st.binary(min_size=1, max_size=64),
        key_management=st.binary(min_size=1, max_size=64),
        card_auth=st.binary(min_size=1, max_size=64),
        statement=st.binary(max_size=64),
        levels=st.lists(st.sampled_from(Level), max_size=8).map(tuple),
    ),
    st.builds(
        wire.ReceiptRequest,
        session=names,
        statement=st.binary(max_size=64),
        kem_key=st.binary(min_size=KEM_KEY_BYTES, max_size=KEM_KEY_BYTES),
    ),
    st.builds(wire.EndRequest, session=names, code=st.just("card-removed")),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(requests)
def test_what_is_sent_is_what_is_read(message: wire.Request) -> None:
    assert wire.decode(wire.encode(message), type(message)) == message


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@given(
    st.sampled_from(fuzz_wire.KINDS),
    st.binary() | json_values.map(lambda v: json.dumps(v).encode()),
)
@example(wire.HealthAnswer, b"[]")
@example(wire.EndRequest, b"\xff")
@example(wire.EndRequest, b"[" * 100_000)
@example(wire.EndRequest, b'{"session":"s\\n","code":"card-removed"}')
@example(wire.EndRequest, b'{"session":"s","code":"card-removed","session":"t"}')
@example(wire.EndRequest, b'{"session":"s","code":"card-removed","sessio\\u006e":"s"}')
def test_anything_else_is_a_decode_error(kind: type, body: bytes) -> None:
    all_optional = len(kind.__struct_defaults__) == len(kind.__struct_fields__)
    assume(not all_optional or not isinstance(_json(body), dict))  # that may be one
    with pytest.raises(DecodeError):
        wire.decode(body, kind)


def test_a_body_over_its_limit_is_not_read() -> None:
    body = wire.encode(wire.EndRequest(session="s", code="card-removed"))
    assert wire.decode(body + b" " * 10, wire.EndRequest, len(body) + 10)
    with pytest.raises(DecodeError):
        wire.decode(body + b" ", wire.EndRequest, len(body))


def test_the_largest_proof_fits_into_a_request() -> None:
    certificate = b"c" * 8192
    proof = wire.ProofRequest(
        session="s" * 100,
        auth=certificate,
        key_management=certificate,
        card_auth=certificate,
        statement=b"s" * 16384,
        levels=tuple(Level),
    )
    body = wire.encode(proof)
    assert len(body) <= wire.MAX_REQUEST_BYTES
    assert wire.decode(body, wire.ProofRequest, wire.MAX_REQUEST_BYTES) == proof


def test_the_largest_answer_fits_too() -> None:
    crls = wire.CrlsAnswer(crls=(b"c" * wire.MAX_LIST_BYTES,) * wire.MAX_LISTS)
    assert wire.decode(wire.encode(crls), wire.CrlsAnswer) == crls


@pytest.mark.parametrize("seed", fuzz_wire.SEEDS)
def test_the_fuzz_target_takes_its_seeds(seed: bytes) -> None:
    fuzz_wire.target(seed)


def test_every_struct_is_closed() -> None:
    for kind in fuzz_wire.KINDS:
        assert kind.__struct_config__.forbid_unknown_fields
        assert kind.__struct_config__.frozen
        assert msgspec.json.schema(kind)


@pytest.mark.parametrize(
    ("kind", "name"), [(wire.ReceiptRequest, "kem_key"), (wire.ReceiptAnswer, "kem_ciphertext")]
)
def test_a_post_quantum_key_or_ciphertext_is_there_and_of_its_size(kind: type, name: str) -> None:
    whole = json.loads(next(seed for seed in fuzz_wire.SEEDS if name.encode() in seed))
    said = base64.b64decode(whole[name])
    wire.decode(json.dumps(whole).encode(), kind)
    for wrong in (None, b"", said[:-1], said + b"k"):
        coded = None if wrong is None else base64.b64encode(wrong).decode()
        with pytest.raises(DecodeError):
            wire.decode(json.dumps({**whole, name: coded}).encode(), kind)
    del whole[name]
    with pytest.raises(DecodeError):
        wire.decode(json.dumps(whole).encode(), kind)


def test_no_key_is_ever_shown() -> None:
    """What is logged, or stands in an exception or a state, is a repr."""
    answer = wire.ReceiptAnswer(
        peer=bytes(32),
        psk_salt=b"test-secret-" + bytes(20),
        kem_ciphertext=bytes(KEM_CIPHERTEXT_BYTES),
        endpoint="192.0.2.1:51820",
        addresses=("10.77.0.2/32",),
        vm="10.77.0.1",
        lease_s=60,
        challenge=bytes(32),
    )
    assert "test-secret" not in f"{answer!r}{answer}{(answer,)}"


def test_an_event_is_read_as_its_kind_and_as_no_other() -> None:
    window = wire.Window(act=b"signed")
    assert wire.kind_of(window) == "window"
    assert wire.decode_event("window", wire.encode(window)) == window
    for kind in ("crl", "revoked", "nothing", ""):
        with pytest.raises(DecodeError):
            wire.decode_event(kind, wire.encode(window))


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=wire.MAX_LISTS))
def test_the_lists_a_box_has_come_back_as_they_were(digests: list[bytes]) -> None:
    assert wire.parse_lists_had(wire.lists_had(digests)) == frozenset(digests)


@given(st.text(max_size=700))
def test_other_words_are_digests_or_refused(have: str) -> None:
    try:
        found = wire.parse_lists_had(have)
    except DecodeError:
        return
    assert {digest.hex() for digest in found} == set(filter(None, have.split(",")))
