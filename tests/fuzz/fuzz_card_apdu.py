"""A card that answers anything: a whole conversation with it (fault 17).

The input is cut into replies: one length byte, then so many bytes; when it is used up, 9000.
"""

from sdbox_agent.card.conversation import Conversation
from sdbox_agent.card.scripted import ScriptedCard
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import SdboxError
from sdbox_agent.statements import fields

KINDS = (
    CardKind(name="host"),
    CardKind(name="raw", comparison="card"),
    CardKind(name="7f2e", comparison="card", verify="7f2e", aid=bytes(5)),
)
PROOF = fields.Proof(box="b", session="s-1", challenge=bytes(32))
CODES = {
    "not-a-piv-card",
    "card-kind-unknown",
    "card-data-invalid",
    "card-failed",
    "card-blocked",
    "card-key-refused",
}


def _cut(*replies: str) -> bytes:
    return b"".join(bytes([len(r) // 2]) + bytes.fromhex(r) for r in replies)


SEEDS: list[bytes] = [
    _cut("61114F0600001000010079074F05A0000003089000"),
    _cut(
        "61114F0600001000010079074F05A0000003089000",
        "7E124F0BA0000003080000100001005F2F0240009000",
        "6A82",
    ),
    _cut("61FF", "61FF", "61FF"),
    _cut("7C82"),
]


def target(data: bytes) -> None:
    """It ends, with a face or one of the known codes."""
    left = bytearray(data)

    def answer(frame: bytes) -> bytes:
        if not left:
            return b"\x90\x00"
        size = left.pop(0)
        reply = bytes(left[:size])
        del left[:size]
        return reply

    card = ScriptedCard(answer)
    conversation = Conversation(card, bytes)
    try:
        conversation.open(KINDS)
        conversation.sign(PROOF, "9E")
        conversation.verify_pin(bytearray(b"123456\xff\xff"), last=True)
    except SdboxError as error:
        if error.code not in CODES:
            raise AssertionError(error.code) from None
    if len(card.frames) > 1000:
        raise AssertionError("it goes on and on")
