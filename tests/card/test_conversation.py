"""One card, from SELECT to reset: sign and unwrap; and every way in which they can go wrong."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.card import piv
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.errors import DecodeError, Fault, Refused, SdboxError
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import Level
from tests import kinds
from tests.card import double
from tests.card.double import PivDouble

NAMES = {"box": "test-box-01", "session": "boot-7", "challenge": bytes(32)}
PROOF = fields.Proof(**NAMES)
RENEW = fields.Renew(**NAMES, n=1)
RECEIPT = fields.Receipt(
    **NAMES,
    enrolment="test-enrolment-01",
    reference_sha256=bytes(32),
    attempt=1,
    level=Level.HOST_MATCH,
    project="test-project-01",
    wg_public_key=bytes(32),
    kem_key_sha256=bytes(32),
    utc_s=1,
)
KINDS = (kinds.FREE,)
OPENING_APDUS_MIN = 9  # SELECT, 7E, CHUID, and three certificates of two frames at least


def salt(size: int) -> bytes:
    return bytes(range(size))


def talk(piv_double: Callable[[bytes], bytes | SdboxError]) -> tuple[Conversation, ScriptedCard]:
    card = ScriptedCard(piv_double, atr=PivDouble.atr)
    return Conversation(card, salt), card


def outcome(conversation: Conversation, *statements: fields.Statement) -> str:
    """Read the card and sign: "read", or the code of the error."""
    try:
        conversation.open(KINDS)
        for statement in statements:
            conversation.sign(statement, "9A")
    except SdboxError as error:
        return error.code
    return "read"


def opened(piv_double: PivDouble) -> tuple[Conversation, ScriptedCard]:
    conversation, card = talk(piv_double)
    conversation.open(KINDS)
    return conversation, card


# -- the whole -----------------------------------------------------------------------------------


@given(st.data())
def test_any_answers_end_in_a_face_or_an_error(data: st.DataObject) -> None:
    """Fault 17, at a small scale: the fuzz targets do it at large."""
    good = PivDouble()

    def answer(frame: bytes) -> bytes:
        reply = good(frame)
        assert isinstance(reply, bytes)
        return data.draw(st.one_of(st.just(reply), st.just(reply), st.binary(max_size=40)))

    conversation, _ = talk(answer)
    assert outcome(conversation) in {"read", "not-a-piv-card", "card-data-invalid"}


def torn(card: PivDouble, at: int, half: int | None) -> Callable[[bytes], bytes | SdboxError]:
    """Pulled at exchange `at` (from 0): no answer, or the first half of one; then gone."""
    count = -1

    def answer(frame: bytes) -> bytes | SdboxError:
        nonlocal count
        count += 1
        if count < at:
            return card(frame)
        if count > at or half is None:
            return Refused("card-removed")
        reply = card(frame)
        assert isinstance(reply, bytes)
        return reply[: half * len(reply) // 10]

    return answer


@pytest.mark.parametrize("half", [None, 3, 5, 9])
def test_a_card_torn_at_any_exchange_is_told_as_removed(half: int | None) -> None:
    """Fault 3: every index, without an answer and with part of one."""
    clean = ScriptedCard(PivDouble(), atr=PivDouble.atr)
    conversation = Conversation(clean, salt)
    conversation.open(KINDS)
    conversation.sign(RECEIPT, "9A")
    told = [
        outcome(talk(torn(PivDouble(), at, half))[0], RECEIPT) for at in range(len(clean.frames))
    ]
    assert told == ["card-removed"] * len(clean.frames)
    assert len(clean.frames) > OPENING_APDUS_MIN


# -- signing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA-2048", "RSA-3072"])
@pytest.mark.parametrize(("statement", "key"), [(PROOF, "9E"), (PROOF, "9A"), (RECEIPT, "9A")])
def test_the_centre_accepts_what_the_card_signed(
    kind: str, statement: fields.Statement, key: str
) -> None:
    card = PivDouble(**{"9A": kind, "9E": kind})
    conversation, _ = opened(card)
    done = conversation.sign(statement, key)
    message = jws.assemble(done.payload, [(done.protected, done.signature)])
    typ = fields.typ_of(statement)
    assert jws.open_statement(typ, message, [card.certificates[key]]) == statement


def test_a_swapped_card_signs_no_receipt() -> None:
    """Fault 9: another card behind the same connection; the proof's card is no longer there."""
    for statement in (RECEIPT, RENEW):
        card = PivDouble()
        conversation, scripted = opened(card)
        card.objects["5FC102"] = double.chuid(guid=bytes(16))
        with pytest.raises(Refused, match=r"^card-removed$"):
            conversation.sign(statement, "9A")
        assert not any(frame[1] == piv.INS_GENERAL_AUTHENTICATE for frame in scripted.frames)


def test_a_clone_signs_nothing_that_is_accepted() -> None:
    """Fault 18: the certificate of one card, the key of another."""
    card = PivDouble()
    conversation, _ = opened(card)
    card.keys["9E"] = double.key("P-256", "another")
    done = conversation.sign(PROOF, "9E")
    with pytest.raises(Refused, match=r"^statement-invalid$"):
        jws.open_statement(
            "proof",
            jws.assemble(done.payload, [(done.protected, done.signature)]),
            [card.certificates["9E"]],
        )


@pytest.mark.parametrize(
    ("sw", "code"),
    [(0x6982, "card-key-refused"), (0x6983, "card-blocked"), (0x6A80, "card-failed")],
)
def test_a_refusal_of_the_card_is_told(sw: int, code: str) -> None:
    """Faults 12 and 14."""
    card = PivDouble()
    conversation, _ = opened(card)
    card.refuse[0x9A] = sw
    with pytest.raises(SdboxError, match=rf"^{code}$"):
        conversation.sign(RECEIPT, "9A")


def test_a_signature_out_of_range_is_refused() -> None:
    card = PivDouble()
    bad = bytes.fromhex("7C0A8208300602010002010 19000".replace(" ", ""))
    conversation, _ = talk(lambda frame: bad if frame[1] == 0x87 else card(frame))
    conversation.open(KINDS)
    with pytest.raises(Refused, match=r"^card-data-invalid$"):
        conversation.sign(PROOF, "9E")


def test_the_salt_is_the_one_given() -> None:
    card = PivDouble(**{"9A": "RSA-2048"})
    conversation, _ = opened(card)
    twice = [conversation.sign(PROOF, "9A").signature for _ in range(2)]
    assert twice[0] == twice[1]
    other = Conversation(ScriptedCard(card, atr=card.atr), lambda size: b"\xff" * size)
    other.open(KINDS)
    assert other.sign(PROOF, "9A").signature != twice[0]


# -- unwrapping ------------------------------------------------------------------------------------


def point_of(private: ec.EllipticCurvePrivateKey) -> bytes:
    return private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


@pytest.mark.parametrize("kind", ["P-256", "P-384"])
def test_ecdh_gives_what_cryptography_gives(kind: str) -> None:
    card = PivDouble(**{"9D": kind})
    holder = card.keys["9D"]
    assert isinstance(holder, ec.EllipticCurvePrivateKey)
    ephemeral = ec.generate_private_key(holder.curve)
    conversation, _ = opened(card)
    shared = ephemeral.exchange(ec.ECDH(), holder.public_key())
    assert conversation.unwrap("ecdh", point_of(ephemeral)) == shared


POINT = point_of(ec.generate_private_key(ec.SECP256R1()))
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.mark.parametrize("kind", ["RSA-2048", "RSA-3072"])
def test_oaep_gives_the_key(kind: str) -> None:
    card = PivDouble(**{"9D": kind})
    holder = card.keys["9D"]
    assert isinstance(holder, rsa.RSAPrivateKey)
    conversation, _ = opened(card)
    block = holder.public_key().encrypt(b"k" * 32, OAEP)
    assert conversation.unwrap("rsa-oaep-sha256", block) == b"k" * 32


def bad_unwraps() -> list[tuple[str, PivDouble, str, bytes]]:
    curve, block = PivDouble(), PivDouble(**{"9D": "RSA-2048"})
    refusing = PivDouble()
    refusing.refuse[0x9D] = 0x6982
    good = point_of(ec.generate_private_key(ec.SECP256R1()))
    private = block.keys["9D"]
    assert isinstance(private, rsa.RSAPrivateKey)
    modulus = private.public_key().public_numbers().n
    wrapped = private.public_key().encrypt(b"k" * 32, OAEP)
    sha1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    return [
        ("off the curve", curve, "ecdh", good[:-1] + bytes([good[-1] ^ 1])),
        ("infinity", curve, "ecdh", b"\x00"),
        ("another curve", curve, "ecdh", point_of(ec.generate_private_key(ec.SECP384R1()))),
        ("key of another kind", curve, "rsa-oaep-sha256", bytes(256)),
        ("key of another kind", block, "ecdh", good),
        ("no such algorithm", curve, "raw", good),
        ("the card's no", refusing, "ecdh", good),
        ("block too short", block, "rsa-oaep-sha256", wrapped[1:]),
        ("block beyond the modulus", block, "rsa-oaep-sha256", modulus.to_bytes(256)),
        ("not the card's", block, "rsa-oaep-sha256", bytes(255) + b"\x02"),
        ("another hash", block, "rsa-oaep-sha256", private.public_key().encrypt(b"k" * 32, sha1)),
    ]


@pytest.mark.parametrize(("why", "card", "algorithm", "blob"), bad_unwraps())
def test_every_failed_unwrap_looks_the_same(
    why: str, card: PivDouble, algorithm: str, blob: bytes
) -> None:
    conversation, _ = opened(card)
    with pytest.raises(Refused, match=r"^reference-not-for-this-card$") as caught:
        conversation.unwrap(algorithm, blob)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("why", "card", "algorithm", "blob"),
    [
        bad
        for bad in bad_unwraps()
        if bad[0] not in {"the card's no", "not the card's", "another hash"}
    ],
)
def test_a_bad_point_or_block_never_reaches_the_card(
    why: str, card: PivDouble, algorithm: str, blob: bytes
) -> None:
    """Fault 40."""
    conversation, scripted = opened(card)
    with pytest.raises(Refused):
        conversation.unwrap(algorithm, blob)
    assert not any(frame[1] == piv.INS_GENERAL_AUTHENTICATE for frame in scripted.frames)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Fault("card-failed"), "card-removed"),  # the reader gave up, and the card is not there
        (Refused("card-removed"), "card-removed"),
        (Fault("card-mute"), "card-mute"),
        (Fault("reader-missing"), "reader-missing"),
    ],
)
def test_a_card_that_goes_while_unwrapping_is_gone_and_no_verdict(
    error: SdboxError, code: str
) -> None:
    card = PivDouble()
    conversation, _ = talk(lambda frame: error if frame[1] == 0x87 else card(frame))
    conversation.open(KINDS)
    with pytest.raises(SdboxError, match=f"^{code}$"):
        conversation.unwrap("ecdh", point_of(ec.generate_private_key(ec.SECP256R1())))


def test_no_way_leads_to_the_signature_of_a_hash() -> None:
    """The one method that signs takes a statement; anything else is not one."""
    conversation, scripted = opened(PivDouble())
    before = len(scripted.frames)
    for thing in (bytes(32), b"{}", None, 5):
        with pytest.raises(DecodeError):
            conversation.sign(thing, "9A")
    assert len(scripted.frames) == before
