"""What is said to one card in one session: read it, sign, unwrap, compare, take a PIN.

There is no way to have a hash signed here: `sign` takes the statement itself (work.py). What is
read first is in opening.py. Knows neither who asks nor whether he may (service.py), nor time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdbox_agent.card import apdu, occ, opening, pad, padding, pin, piv, spki, verify, work
from sdbox_agent.card.token import CHANNEL_CODES, Decision, Face, Signature
from sdbox_agent.errors import AskAgain, Bug, DecodeError, Fault, Refused, SdboxError
from sdbox_agent.statements import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sdbox_agent.card.channel import Channel
    from sdbox_agent.cardkind import CardKind, FingerKey, KeyName


class Conversation:
    """One exclusive connection to one card, from SELECT to reset: a `token.Token`."""

    def __init__(self, channel: Channel, rng: Callable[[int], bytes]) -> None:
        self._channel = channel
        self._rng = rng
        self._read: opening.Read | None = None
        self._open: list[int] = []  # references that may have been given or matched

    def open(self, kinds: tuple[CardKind, ...]) -> Face:
        """As `Token.open`."""
        with self._telling_a_removal():
            self._read = opening.read(self._channel, kinds)
        return self._read.face

    def sign(self, statement: fields.Statement, key: KeyName) -> Signature:
        """As `Token.sign`; DecodeError for what is no statement, which is a bug of the caller's.

        At the receipt the certificate is read again too, over this very connection: what it is
        signed with is the card that was opened, whatever lies in the reader by now.
        """
        holder, certificate_der = self._holder(key)
        unsigned = work.unsigned(statement, holder, certificate_der)
        with self._telling_a_removal():
            if not isinstance(statement, fields.Proof):
                self._same_card(certificate=isinstance(statement, fields.Receipt))
            return unsigned.signed(lambda digest: self._sign(piv.KEYS[key], holder, digest))

    def unwrap(self, algorithm: str, blob: bytes) -> bytes:
        """As `Token.unwrap`.

        One error for every cause in the message alike: another algorithm than the key's, a bad
        point or block, the card's no, bad padding. What the channel says of itself (card-removed,
        card-mute, reader-missing) tells nothing of the message, and whoever pulled the card must
        not be sent to the enrolment desk: it is raised as it is.
        """
        try:
            with self._telling_a_removal():
                self._same_card()
                return self._unwrap(algorithm, blob)
        except (DecodeError, SdboxError) as error:
            if isinstance(error, SdboxError) and error.code in CHANNEL_CODES:
                raise
            raise Refused("reference-not-for-this-card") from None

    def compare(self, key: FingerKey, minutiae: bytes) -> Decision:
        """As `Token.compare`."""
        face = self._opened.face
        bit = next((bit for bit in face.bits if bit.key == key), None)
        if bit is None:
            raise Bug("worker-protocol")
        command = occ.compare(bit, minutiae, face.kind.verify)
        with self._telling_a_removal():
            self._same_card()
            self._open.append(occ.KEYS[key])
            left = verify.decode_left(apdu.transmit(self._channel, command))
        return Decision(match=left is None, left=left)

    def verify_pin(self, field: bytearray | None, *, last: bool) -> int | None:
        """As `Token.verify_pin`. The APDU with the digits is overwritten when it has been sent."""
        code = self._opened.pad_code
        if field is None and code is None:
            raise Bug("worker-protocol")
        with self._telling_a_removal():
            self._same_card()
            left = opening.pin_left(self._channel)
            if left is None:
                raise DecodeError("the PIN is gone")
            if left == 0:
                return 0
            if left == 1 and not last:
                raise AskAgain("pin-last-try")
            self._open.append(pin.REFERENCE)
            if field is not None:
                return self._give(field)
            assert code is not None
            return self._at_the_pad(code)

    def stop(self) -> None:
        """As `Token.stop`."""
        self._channel.stop()

    def close(self) -> None:
        """As `Token.close`: a reset should forget a PIN or a match, and a log-out does too."""
        log_outs = (apdu.frames(verify.reset(reference))[0] for reference in self._open)
        self._channel.close(tuple(log_outs))

    # -- the steps -------------------------------------------------------------------------------

    @property
    def _opened(self) -> opening.Read:
        assert self._read is not None
        return self._read

    def _holder(self, key: str) -> tuple[spki.PublicKey, bytes]:
        return self._opened.contents.keys[key], self._opened.contents.certificates[key]

    def _same_card(self, *, certificate: bool = False) -> None:
        """Raise Refused("card-removed") if another card sits behind this connection."""
        contents = self._opened.contents
        try:
            same = opening.chuid(self._channel).raw == contents.chuid.raw
            if same and certificate:
                same = opening.certificate(self._channel, "9A") == contents.certificates["9A"]
        except DecodeError:  # a card that was never selected, or none at all
            same = False
        if not same:
            raise Refused("card-removed")

    def _give(self, field: bytearray) -> int | None:
        frame = pin.command(field)
        try:
            return verify.decode_left(apdu.parse(self._channel.exchange(frame)))
        finally:
            pin.wipe(frame)

    def _at_the_pad(self, code: int) -> int | None:
        reply = b""
        for _ in range(pad.ENTRIES):
            reply = self._channel.control(code, pad.request(), waits_s=pad.ENTRY_S)
            if pad.was_sent(reply):
                break
        return pad.decode_left(reply)

    def _sign(self, key_reference: int, key: spki.PublicKey, digest: bytes) -> bytes:
        if isinstance(key, spki.EcKey):
            command = piv.private_operation(key_reference, key, digest)
            return piv.decode_ecdsa(self._private(command), key.curve)
        block = padding.pss_encode(digest, self._rng(padding.SALT_BYTES), key.size_bytes)
        command = piv.private_operation(key_reference, key, block)
        return piv.decode_block(self._private(command), key.size_bytes)

    def _unwrap(self, algorithm: str, blob: bytes) -> bytes:
        key = self._opened.contents.keys["9D"]
        work.check_wrapped(algorithm, blob, key)
        if isinstance(key, spki.EcKey):
            command = piv.key_agreement(piv.KEYS["9D"], key, blob)
            return piv.decode_block(self._private(command), key.curve.size_bytes)
        command = piv.private_operation(piv.KEYS["9D"], key, blob)
        return padding.oaep_decode(piv.decode_block(self._private(command), key.size_bytes))

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
            if isinstance(error, SdboxError) and error.code in CHANNEL_CODES:
                raise
            self._channel.exchange(apdu.frames(piv.select())[0])
            if isinstance(error, DecodeError):
                raise Refused("card-data-invalid") from None
            raise
