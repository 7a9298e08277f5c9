"""Who wrote an answers file: staff's act over its bytes, under the anchor that was typed."""

import dataclasses
import datetime as dt
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import AskAgain, DecodeError, Refused, SdboxError
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import signature
from sdbox_centre import authority
from sdbox_centre.staff import payload
from tests.provision.setup.people import ANCHOR, AUTHORITIES, BOX, NOW, NOW_S, Member, answers

RAW = answering.encode(answers())
MEMBER = Member()
SIGNED = MEMBER.sign(RAW)
OTHER = authority.authority("Other staff", NOW, test=True)


def refused(code: str, raw: bytes, detached: bytes, anchor: bytes = ANCHOR, **how) -> None:
    how = {"now": NOW, "rig": True, **how}
    with pytest.raises(Refused, match=f"^{code}$"):
        signature.verify(raw, detached, anchor, **how)


def test_what_staff_signed_is_believed_and_names_the_box() -> None:
    signed = signature.verify(RAW, SIGNED, ANCHOR, NOW, rig=True)
    assert signed.said.box == BOX
    assert hashlib.sha256(signed.anchor_der).digest() == ANCHOR


def test_the_act_is_the_very_one_of_the_centre() -> None:
    said = {"n": 1, "utc_s": NOW_S, "motive": "why", "box": BOX, "until_s": NOW_S + 1}
    act = payload.Answers(**said, answers_sha256=bytes(32))
    ours = signature.Said(**said, answers_sha256=bytes(32))
    assert payload.encode(act) == msgspec.json.encode(ours)
    assert signature.parse_said(payload.encode(act)) == ours
    assert signature.TYP == payload.TYP


def test_another_byte_another_anchor_or_another_signer_is_not_believed() -> None:
    refused("answers-unsigned", RAW + b"\n", SIGNED)
    refused("anchor-mismatch", RAW, SIGNED, bytes(32))
    stranger = Member(OTHER)
    refused("anchor-mismatch", RAW, stranger.sign(RAW))
    mixed = signature.parse(stranger.sign(RAW))
    ours = msgspec.structs.replace(mixed, authorities=(AUTHORITIES["staff"].certificate_der,))
    refused("answers-unsigned", RAW, signature.encode(ours))


def test_no_second_anchor_comes_in_beside_the_first() -> None:
    both = (AUTHORITIES["staff"].certificate_der, OTHER.certificate_der)
    stranger = Member(OTHER)
    act = signature.parse(stranger.sign(RAW)).act
    refused("answers-unsigned", RAW, stranger.detached(act, authorities=both))


def test_an_authority_between_is_taken() -> None:
    root = authority.authority("Staff root", NOW, path_length=1, test=True)
    member = Member(root.subordinate("Staff issuing", NOW))
    act = signature.parse(member.sign(RAW)).act
    above = (root.certificate_der, member.by.certificate_der)
    detached = member.detached(act, authorities=above)
    anchor = hashlib.sha256(root.certificate_der).digest()
    assert signature.verify(RAW, detached, anchor, NOW, rig=True)


def test_a_card_of_another_purpose_signs_nothing() -> None:
    member = Member()
    subject = authority.card_subject(bytes(16), "Test staff")
    member.certificate = member.by.card_certificate("9E", member.key.public_key(), subject, NOW)
    refused("answers-unsigned", RAW, member.sign(RAW))


def test_authorities_of_tests_are_the_rig_s() -> None:
    refused("answers-unsigned", RAW, SIGNED, rig=False)
    real = authority.authority("Real staff", NOW)
    anchor = hashlib.sha256(real.certificate_der).digest()
    assert signature.verify(RAW, Member(real).sign(RAW), anchor, NOW, rig=False)


def test_dates_count() -> None:
    end = answers().until_s
    late = dt.datetime.fromtimestamp(end, dt.UTC)
    refused("answers-expired", RAW, SIGNED, now=late)
    assert signature.verify(RAW, SIGNED, ANCHOR, late - dt.timedelta(seconds=1), rig=True)
    refused("answers-unsigned", RAW, SIGNED, now=NOW - dt.timedelta(days=2))


@pytest.mark.parametrize(
    "changed", [{"certificate": b"no"}, {"authorities": (b"no",)}, {"act": b"{}"}]
)
def test_nonsense_inside_is_refused(changed: dict[str, object]) -> None:
    whole = signature.parse(SIGNED)
    wrong = signature.encode(msgspec.structs.replace(whole, **changed))
    anchor = wrong_anchor(changed)
    refused("answers-unsigned", RAW, wrong, anchor)


def wrong_anchor(changed: dict[str, object]) -> bytes:
    first = changed.get("authorities", (AUTHORITIES["staff"].certificate_der,))
    return hashlib.sha256(first[0]).digest()  # type: ignore[index]


@pytest.mark.parametrize("said", [b"", b"{}", b"\xff", b"[]"])
def test_another_act_is_none(said: bytes) -> None:
    with pytest.raises(DecodeError):
        signature.parse_said(said)


def test_an_act_has_one_form() -> None:
    said = signature.Said(n=1, utc_s=1, motive="m", box="b", answers_sha256=bytes(32), until_s=2)
    with pytest.raises(DecodeError):
        signature.parse_said(b" " + msgspec.json.encode(said))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff", b" " + SIGNED, bytes(signature.MAX_BYTES + 1)]
)
def test_the_file_has_one_form(data: bytes) -> None:
    with pytest.raises(DecodeError):
        signature.parse(data)
    refused("answers-unsigned", RAW, data)


@given(st.binary(max_size=60), st.integers(0, len(SIGNED)))
def test_any_other_bytes_are_refused(more: bytes, at: int) -> None:
    changed = SIGNED[:at] + more + SIGNED[at:]
    if changed == SIGNED:
        return
    with pytest.raises(SdboxError):
        signature.verify(RAW, changed, ANCHOR, NOW, rig=True)


def test_a_digest_is_typed_as_people_type() -> None:
    text = ANCHOR.hex()
    grouped = " ".join(text[at : at + 4] for at in range(0, 64, 4)).upper()
    assert signature.parse_typed(grouped) == signature.parse_typed(f" {text}\n") == ANCHOR
    for wrong in ("", text[:-1], text + "0", "g" * 64):
        with pytest.raises(AskAgain, match="anchor-malformed"):
            signature.parse_typed(wrong)


def test_a_signed_value_is_frozen() -> None:
    signed = signature.verify(RAW, SIGNED, ANCHOR, NOW, rig=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        signed.anchor_der = b""  # type: ignore[misc]
