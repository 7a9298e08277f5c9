"""What comes with a box's answers: the file, its signature, staff's act, a digest that is typed."""

import contextlib
import datetime as dt
import hashlib

import msgspec

from sdbox_agent.errors import AskAgain, DecodeError, Refused
from sdbox_agent.profile import schema
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import fitness, signature
from tests.provision.setup.people import ANCHOR, AUTHORITIES, NOW, Member, answers

PARSERS = (answering, signature)
RAW = answering.encode(answers())
MEMBER = Member()
SIGNED = MEMBER.sign(RAW)
ROOT = AUTHORITIES["centre"].certificate_der
BETWEEN = AUTHORITIES["centre"].subordinate("between", NOW).certificate_der
LATE = NOW + dt.timedelta(days=31)
SAID = signature.Said(n=1, utc_s=1, motive="m", box="b", answers_sha256=bytes(32), until_s=2)


def _anchors(*ders: bytes) -> bytes:
    found = answers().anchors
    wrong = msgspec.structs.replace(found, centre=ders)
    return answering.encode(answers(anchors=wrong))


SEEDS: list[bytes] = [
    RAW,
    answering.encode(answers(hosting=None, profile="detect")),
    RAW.replace(b"192.0.2.1", b"centre.test", 1).replace(b'  "192.0.2.1",\n', b"", 1),
    _anchors(b"no"),
    _anchors(BETWEEN),
    _anchors(ROOT, BETWEEN),
    SIGNED,
    MEMBER.detached(b"{}"),
    MEMBER.detached(b"{}", certificate=b"no"),
    MEMBER.detached(b"{}", authorities=(b"no",)),
    MEMBER.detached(b"{}", authorities=(MEMBER.by.certificate_der, ROOT)),
    b" " + SIGNED,
    msgspec.json.encode(SAID),
    b" " + msgspec.json.encode(SAID),
    ANCHOR.hex().encode(),
    b"/dev/b none swap sw 0 0\n",
    bytes(signature.MAX_BYTES + 1),
]
TOKENS = [b"[anchors]", b"[hosting]", b'"authorities"', b'"kind":"answers"', b"swap"]


def target(data: bytes) -> None:
    """Whatever is read is written back the same; what makes no box is refused with a line."""
    with contextlib.suppress(TomlRefused):
        parsed = answering.parse(data)
        assert answering.parse(answering.encode(parsed)) == parsed
        box = answering.box_of(parsed, "x")
        assert schema.parse_box(answering.box_toml(box)) == box
        for found in msgspec.structs.astuple(parsed.anchors):
            assert answering.pem(found)
    with contextlib.suppress(DecodeError):
        assert signature.encode(signature.parse(data)) == data
    with contextlib.suppress(DecodeError):
        assert msgspec.json.encode(signature.parse_said(data)) == data
    with contextlib.suppress(AskAgain):
        assert len(signature.parse_typed(data.decode("utf-8", "replace"))) == 32
    assert fitness.without_swap(fitness.without_swap(data)) == fitness.without_swap(data)
    for raw, detached in ((RAW, data), (data, SIGNED)):
        _verify(raw, detached)


def _verify(raw: bytes, detached: bytes) -> None:
    """Nothing is believed but the very file that was signed."""
    for anchor, now, rig in (
        (_first(detached), NOW, True),
        (_first(detached), NOW, False),
        (_first(detached), LATE, True),
        (bytes(32), NOW, True),
    ):
        with contextlib.suppress(Refused):
            signed = signature.verify(raw, detached, anchor, now, rig=rig)
            assert signed.said.answers_sha256 == hashlib.sha256(raw).digest()
            assert (rig, now) == (True, NOW), "neither a test's authority nor after the end"


def _first(detached: bytes) -> bytes:
    """The anchor that a careless operator would type: the file's own."""
    try:
        return hashlib.sha256(signature.parse(detached).authorities[0]).digest()
    except DecodeError:
        return ANCHOR
