"""A card that answers anything: a whole conversation with it (fault 17).

The first byte of an input says whether the protocol is T=0 (its lowest bit), and whether the reader
has a pad (the next). The rest is cut into replies: two bytes with a length, then so many bytes;
FFFF is a card pulled out. When the input is used up, the card answers 9000.
"""

import contextlib
from collections.abc import Callable, Iterable

from cryptography.hazmat.primitives.asymmetric import ec

from hil.card.card import PivCard
from sdbox_agent.card import apdu, pad, pin
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import DecodeError, Refused, SdboxError
from sdbox_agent.pki import cms
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from sdbox_centre import authority, sealing
from tests.fuzz import structure
from tests.pki import grown

DIVISOR = 10
KINDS = (
    CardKind(name="host"),
    CardKind(name="raw", comparison="card"),
    CardKind(name="7f2e", comparison="card", verify="7f2e", aid=bytes(5)),
)
MUTATE = structure.framed(2, tail=2, skipped=1)
PARSERS = (apdu, Conversation)
MINE = {"box": "b", "session": "s-1", "challenge": bytes(32)}
RECEIPT = fields.Receipt(
    **MINE, enrolment="e", attempt=1, level=Level.HOST_MATCH, project="p",
    wg_public_key=bytes(32), kem_key_sha256=bytes(32), utc_s=1,
)  # fmt: skip
PROOF, RENEW = fields.Proof(**MINE), fields.Renew(**MINE, n=1)
CODES = {
    "not-a-piv-card",
    "card-kind-unknown",
    "pin-last-try",
    "cancelled",
    "transaction-timeout",
    "worker-protocol",  # a comparison asked of a card that has none: our own word
    "card-data-invalid",
    "card-failed",
    "card-blocked",
    "card-key-refused",
    "card-removed",
    "reference-not-for-this-card",
}
PULLED = 0xFFFF
MAX_REPLY_BYTES = 300  # longer than any that is allowed
MAX_FRAMES = 2000
FEATURES = bytes.fromhex("060442000DB6")  # PC/SC part 10 section 2.5.2: FEATURE_VERIFY_PIN_DIRECT
SEALED = {
    kind: cms.parse(sealing.seal(b"x", grown.card(kind).certificates.key_management))
    for kind in ("p256", "p384", "rsa2048")
}


def _talk(card: ScriptedCard) -> None:
    """All that is ever said to a card, each part whatever became of those before."""
    conversation = Conversation(card, bytes)
    parts = [
        lambda: conversation.sign(PROOF, "9E"),
        lambda: conversation.sign(RENEW, "9A"),
        lambda: conversation.sign(RECEIPT, "9A"),
        lambda: _bare(card),
        lambda: conversation.verify_pin(bytearray(b"123456\xff\xff"), last=True),
        lambda: conversation.verify_pin(bytearray(b"123456\xff\xff"), last=False),
        lambda: conversation.verify_pin(None, last=True),
        lambda: conversation.compare("96", bytes(36)),
        *(lambda one=one: conversation.unwrap(one.algorithm, one.blob) for one in SEALED.values()),
    ]
    try:
        conversation.open(KINDS)
    except SdboxError as error:
        assert error.code in CODES, error.code
        return
    for part in parts:
        try:
            part()
        except SdboxError as error:
            assert error.code in CODES, error.code
    conversation.close()


def _bare(card: ScriptedCard) -> None:
    """A command without data: SP 800-73pt2-5 section 3.2.1, how many tries are left."""
    with contextlib.suppress(DecodeError):
        apdu.transmit(card, apdu.Command(0x20, 0x00, 0x80, expects=False))


def _recorded(
    kind: str, *, t0: bool = False, has_pad: bool = False, auth: object = None, **more: object
) -> tuple[bytes, list[bytes]]:
    """What the virtual card answers in such a conversation."""
    grown_one = grown.card(kind)
    key_9a, key_9d = auth or grown_one.auth, grown_one.key_management
    keys = {"9A": key_9a, "9D": key_9d, "9E": grown_one.card_auth}
    card = PivCard.create(ready_keys=keys, **more)
    publics = authority.CardKeys(*(key.public_key() for key in keys.values()))
    issued = grown.card_authority().card(publics, grown.GUID, "Test Holder 01", grown.NOW)
    der = dict(zip(keys, (issued.auth, issued.key_management, issued.card_auth), strict=True))
    card.install(der, compressed=["9D"])
    chip, said = card.power_on(), []

    def answer(frame: bytes) -> bytes:
        said.append(chip.transmit(frame))
        return said[-1]

    typed = bytes(pin.command(bytearray(b"123456\xff\xff")))
    reader = _pad(lambda: answer(typed)) if has_pad else _none
    _talk(ScriptedCard(answer, t0=t0, reader=reader))
    return bytes([t0 | has_pad << 1]), said


def _none(code: int, data: bytes) -> bytes:
    """A reader without a pad."""
    return b""


def _pad(answer: Callable[[], bytes | SdboxError]) -> Callable[[int, bytes], bytes | SdboxError]:
    """A reader with one: what was typed there, and what came of it, is `answer`'s."""
    return lambda code, data: FEATURES if code == pad.GET_FEATURES else answer()


def _seed(head: bytes, replies: list[bytes]) -> bytes:
    return head + structure.joined(replies, 2)


def _bent(head: bytes, replies: list[bytes], turns: Iterable[int] = (0, 5)) -> list[bytes]:
    """The conversation with each reply in turn exchanged for something else, and then no more."""
    words = ("6982", "6983", "6A80", "6A82", "6100", "6C10", "6000", "90")
    persons = ("6A88", "63C0", "63C1", "6400", "6401", "6403", "9000")
    told = (*words, *persons, "7C009000", "7C008200", "0101010161FF")
    odd = [bytes.fromhex(one) for one in told]
    return [
        _seed(head, [*replies[:at], odd[(at + turn) % len(odd)], *replies[at + 1 :]])
        for at in range(len(replies))
        for turn in turns
    ]


P256, RSA = _recorded("p256"), _recorded("rsa2048", t0=True, auth=grown.rsa_key())
P384 = _recorded("p384", auth=ec.generate_private_key(ec.SECP384R1()))
MATCH = _recorded("p256", has_pad=True, fingers={"96": (2, bytes(36))})
PULL = PULLED.to_bytes(2)
SEEDS: list[bytes] = [
    *(_seed(*one) for one in (P256, RSA, P384, MATCH)),
    *_bent(*P256),
    *_bent(*RSA),
    *_bent(*MATCH, range(18)),
    *(_seed(P256[0], P256[1][:at]) + PULL for at in (0, 3, len(P256[1]) - 2)),
    _seed(b"\0", [bytes(256) + b"\x61\xff"] * 80),  # too long
    _seed(b"\0", [b"\x61\xff"] * 200),  # never ends
    _seed(b"\0", [bytes(300)]),
]


def target(data: bytes) -> None:
    """It ends, with a face or one of the known codes."""
    left = bytearray(data[1:])

    def answer(frame: bytes) -> bytes | SdboxError:
        if not left:
            return b"\x90\x00"
        size = int.from_bytes(left[:2])
        if size == PULLED:
            return Refused("card-removed")
        size = 2 + size % MAX_REPLY_BYTES
        reply = bytes(left[2:size])
        del left[:size]
        return reply

    head = data[0] if data else 0
    reader = _pad(lambda: answer(b"")) if head & 2 else _none
    card = ScriptedCard(answer, t0=bool(head & 1), reader=reader)
    _talk(card)
    assert len(card.frames) <= MAX_FRAMES, "it goes on and on"
