"""What is said to one card in one session: read it, have it sign a statement, open a wrapping.

There is no way to have a hash signed here: `sign` takes the statement itself and builds every byte
that goes under the signature. Knows neither who asks nor whether he may (service.py), nor time.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sdbox_agent.card import apdu, padding, piv, spki
from sdbox_agent.errors import DecodeError, Fault, Refused, SdboxError
from sdbox_agent.statements import fields, header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdbox_agent.card.channel import Channel

# Ours: what the channel says of itself; the card is not to be blamed for these, nor asked again
_CHANNEL_CODES: Final = frozenset({"card-removed", "card-mute", "reader-missing"})


@dataclass(frozen=True, slots=True)
class Holder:
    """One certificate of the card, and the kind of key it is for."""

    certificate_der: bytes
    key: spki.PublicKey


@dataclass(frozen=True, slots=True)
class Face:
    """What the card shows to anybody, read over one connection."""

    chuid: piv.Chuid
    holders: dict[str, Holder]  # by key reference: 9A, 9D, 9E


@dataclass(frozen=True, slots=True)
class Signature:
    """One JWS signature over `payload`."""

    payload: bytes
    protected: bytes
    signature: bytes


class Conversation:
    """One exclusive connection to one card, from SELECT to reset."""

    def __init__(self, channel: Channel, rng: Callable[[int], bytes]) -> None:
        self._channel = channel
        self._rng = rng
        self._face: Face | None = None

    def open(self) -> Face:
        """Select PIV and read what is public.

        Raises Refused("not-a-piv-card"), Refused("card-data-invalid"), or what the channel raises.
        """
        with self._telling_a_removal():
            self._select()
            self._discover()
            chuid = self._chuid()
            holders = {name: self._holder(tag) for name, tag in piv.CERTIFICATE_OBJECTS.items()}
            self._face = Face(chuid, holders)
        return self._face

    def sign(self, statement: fields.Statement, key: Literal["9A", "9E"]) -> Signature:
        """Have the card sign a statement.

        A receipt or a renewal first makes sure that the card is still the one that was read.
        Raises Fault("card-key-refused") (the key wants a PIN), Refused("card-blocked"),
        Fault("card-failed"), or what the channel raises; DecodeError for what is no statement,
        which is a bug of the caller's.
        """
        assert self._face is not None
        holder = self._face.holders[key]
        typ, payload = fields.typ_of(statement), fields.encode(statement)
        fields.parse(typ, payload)  # whatever it is called: only a statement's bytes are signed
        head = header.protected(typ, _algorithm(holder.key), holder.certificate_der)
        message = header.signing_input(head, payload)
        with self._telling_a_removal():
            if not isinstance(statement, fields.Proof):
                self._same_card(self._face)
            signature = self._sign(piv.KEYS[key], holder.key, message)
        return Signature(payload, head, signature)

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        """The shared X coordinate ("ecdh"), or the content-encryption key ("rsa-oaep-sha256").

        Raises Refused("reference-not-for-this-card") for every cause in the message alike: another
        algorithm than the key's, a bad point or block, the card's no, bad padding. What the channel
        says of itself (card-removed, card-mute, reader-missing) tells nothing of the message, and
        whoever pulled the card must not be sent to the enrolment desk: it is raised as it is.
        """
        try:
            with self._telling_a_removal():
                return self._unwrap(algorithm, blob)
        except (DecodeError, SdboxError) as error:
            if isinstance(error, SdboxError) and error.code in _CHANNEL_CODES:
                raise
            raise Refused("reference-not-for-this-card") from None

    def close(self) -> None:
        """Reset the card and let go."""
        self._channel.close()

    # -- the steps -------------------------------------------------------------------------------

    def _select(self) -> None:
        response = apdu.transmit(self._channel, piv.select())
        if response.sw != apdu.SW_OK:
            raise Refused("not-a-piv-card")
        piv.decode_select(response.data)

    def _discover(self) -> None:
        # Optional where the card has nothing but the PIV PIN (SP 800-73pt1-5 section 3.3.2).
        response = apdu.transmit(self._channel, piv.get_data(piv.OBJECT_DISCOVERY))
        if response.sw != piv.SW_NOT_FOUND:
            piv.decode_discovery(_object(response))

    def _chuid(self) -> piv.Chuid:
        return piv.decode_chuid(self._read(piv.OBJECT_CHUID))

    def _holder(self, tag: int) -> Holder:
        certificate_der = piv.decode_certificate(self._read(tag))
        return Holder(certificate_der, spki.of_certificate(certificate_der))

    def _read(self, tag: int) -> bytes:
        return _object(apdu.transmit(self._channel, piv.get_data(tag)))

    def _same_card(self, face: Face) -> None:
        try:
            now = self._chuid().raw
        except DecodeError:  # a card that was never selected, or none at all
            now = b""
        if now != face.chuid.raw:
            raise Refused("card-removed")  # another card sits behind this connection

    def _sign(self, key_reference: int, key: spki.PublicKey, message: bytes) -> bytes:
        if isinstance(key, spki.EcKey):
            digest = hashlib.sha256 if key.curve is spki.Curve.P256 else hashlib.sha384
            command = piv.private_operation(key_reference, key, digest(message).digest())
            return piv.decode_ecdsa(self._private(command), key.curve)
        message_hash = hashlib.sha256(message).digest()
        block = padding.pss_encode(message_hash, self._rng(padding.SALT_BYTES), key.size_bytes)
        command = piv.private_operation(key_reference, key, block)
        return piv.decode_block(self._private(command), key.size_bytes)

    def _unwrap(self, algorithm: str, blob: bytes) -> bytes:
        assert self._face is not None
        match algorithm, self._face.holders["9D"].key:
            case "ecdh", spki.EcKey() as key:
                spki.check_point(key.curve, blob)  # a card may be less careful (fault 40)
                command = piv.key_agreement(piv.KEYS["9D"], key, blob)
                return piv.decode_block(self._private(command), key.curve.size_bytes)
            case "rsa-oaep-sha256", spki.RsaKey() as key:
                if len(blob) != key.size_bytes or int.from_bytes(blob) >= key.modulus:
                    raise DecodeError("block")  # RFC 8017 section 7.1.2 step 1b, section 5.1.2
                command = piv.private_operation(piv.KEYS["9D"], key, blob)
                return padding.oaep_decode(piv.decode_block(self._private(command), key.size_bytes))
            case _:
                raise DecodeError("algorithm is not the key's")

    def _private(self, command: apdu.Command) -> bytes:
        response = apdu.transmit(self._channel, command)
        match response.sw:
            case apdu.SW_OK:
                return response.data
            case piv.SW_SECURITY_STATUS:
                raise Fault("card-key-refused")
            case piv.SW_BLOCKED:
                raise Refused("card-blocked")
            case _:
                raise Fault("card-failed")

    @contextmanager
    def _telling_a_removal(self) -> Iterator[None]:
        """Tell a card pulled in mid-reply from a card that talks nonsense.

        The last bytes that came through may pass for an answer. So before a card is blamed it is
        asked once more; if it is gone, that raises card-removed, which is the truth.
        """
        try:
            yield
        except (DecodeError, Refused, Fault) as error:
            if isinstance(error, SdboxError) and error.code in _CHANNEL_CODES:
                raise
            self._channel.exchange(apdu.frames(piv.select())[0])
            if isinstance(error, DecodeError):
                raise Refused("card-data-invalid") from None
            raise


def _object(response: apdu.Response) -> bytes:
    if response.sw != apdu.SW_OK:
        raise DecodeError("object not there")
    return response.data


def _algorithm(key: spki.PublicKey) -> header.Algorithm:
    if isinstance(key, spki.RsaKey):
        return "PS256"
    return "ES256" if key.curve is spki.Curve.P256 else "ES384"
