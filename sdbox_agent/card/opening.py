"""What a PIV card shows to anybody: its application, objects, fingers and counters.

Read over one connection, before anything is asked of the card. No try is spent here: counters are
asked by an empty VERIFY. Decides nothing but of which kind the card is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdbox_agent.card import apdu, kinds, occ, pad, pin, piv, spki, verify
from sdbox_agent.card.token import Face
from sdbox_agent.errors import DecodeError, Refused

if TYPE_CHECKING:
    from sdbox_agent.card.channel import Channel
    from sdbox_agent.cardkind import Bit, CardKind


@dataclass(frozen=True, slots=True)
class Contents:
    """The objects of one application."""

    chuid: piv.Chuid
    certificates: dict[str, bytes]  # DER, by key reference
    keys: dict[str, spki.PublicKey]
    bits: tuple[Bit, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """A card that was taken: its face, and what is compared with it later."""

    face: Face
    contents: Contents
    pad_code: int | None  # the reader's control code for a PIN at its pad, where it is used


def read(channel: Channel, wanted: tuple[CardKind, ...]) -> Read:
    """Take the card as the first kind that fits, and leave its application selected.

    Raises Refused("card-contactless"), Refused("not-a-piv-card"), Refused("card-kind-unknown"),
    DecodeError for what is not as the standard has it, and what the channel raises.
    """
    if kinds.is_contactless(channel.atr):
        raise Refused("card-contactless")
    seen: dict[bytes, Contents | None] = {}
    selected = b""
    for kind in kinds.candidates(wanted, "pcsc", channel.atr):
        if kind.aid not in seen:
            seen[kind.aid], selected = _contents(channel, kind.aid), kind.aid
        contents = seen[kind.aid]
        if contents and kinds.fits(kind, contents.keys.values(), compares=bool(contents.bits)):
            if selected != kind.aid:
                select(channel, kind.aid)
            return _read(channel, kind, contents)
    raise Refused("card-kind-unknown" if any(seen.values()) else "not-a-piv-card")


def select(channel: Channel, aid: bytes) -> bool:
    """Select an application; False where the card has none of that name. Raises DecodeError."""
    response = apdu.transmit(channel, piv.select(aid))
    if response.sw != apdu.SW_OK:
        return False
    piv.decode_select(response.data, aid)
    return True


def chuid(channel: Channel) -> piv.Chuid:
    """Read the CHUID. Raises DecodeError."""
    return piv.decode_chuid(_object(channel, piv.OBJECT_CHUID))


def certificate(channel: Channel, key: str) -> bytes:
    """Read one certificate, DER. Raises DecodeError."""
    return piv.decode_certificate(_object(channel, piv.CERTIFICATE_OBJECTS[key]))


def pin_left(channel: Channel) -> int | None:
    """The card's own tries for its PIN; None where it has none. Raises DecodeError."""
    return _left(channel, pin.REFERENCE)


def _contents(channel: Channel, aid: bytes) -> Contents | None:
    if not select(channel, aid):
        return None
    # Optional where the card has nothing but the PIV PIN (SP 800-73pt1-5 section 3.3.2).
    discovery = _optional(channel, piv.OBJECT_DISCOVERY)
    policy = piv.decode_discovery(discovery, aid) if discovery is not None else b"\x40\x00"
    shown = chuid(channel)
    certificates = {name: certificate(channel, name) for name in piv.CERTIFICATE_OBJECTS}
    group = _optional(channel, occ.OBJECT_BIT_GROUP)
    bits = occ.decode_bits(group) if group is not None else ()
    if bits and not policy[0] & occ.POLICY_OCC:
        raise DecodeError("fingers that the discovery object knows nothing of")
    keys = {name: spki.of_certificate(der) for name, der in certificates.items()}
    return Contents(shown, certificates, keys, bits)


def _read(channel: Channel, kind: CardKind, contents: Contents) -> Read:
    tries = [_left(channel, occ.KEYS[bit.key]) for bit in contents.bits]
    if None in tries:
        raise DecodeError("a finger without its reference")
    left = pin_left(channel)
    code = None
    if kind.pad and left is not None:
        code = pad.verify_code(channel.control(pad.GET_FEATURES, b""))
    face = Face(
        kind=kind,
        certificates=contents.certificates,
        guid=contents.chuid.guid,
        expires=contents.chuid.expires,
        bits=contents.bits,
        match_left=tuple(one for one in tries if one is not None),
        pin_left=left,
        pad=code is not None,
    )
    return Read(face, contents, code)


def _left(channel: Channel, reference: int) -> int | None:
    """Tries left, after closing what another program left open; None: no such reference."""
    for _ in range(2):
        response = apdu.transmit(channel, verify.status(reference))
        if response.sw == verify.SW_NO_REFERENCE:
            return None
        left = verify.decode_left(response)
        if left is not None:
            return left
        apdu.transmit(channel, verify.reset(reference))
    raise DecodeError("open, and not to be closed")


def _object(channel: Channel, tag: int) -> bytes:
    data = _optional(channel, tag)
    if data is None:
        raise DecodeError("object not there")
    return data


def _optional(channel: Channel, tag: int) -> bytes | None:
    response = apdu.transmit(channel, piv.get_data(tag))
    if response.sw == piv.SW_NOT_FOUND:
        return None
    if response.sw != apdu.SW_OK:
        raise DecodeError("object not readable")
    return response.data
