"""A member of staff's card in a reader, opened with its PIN, that signs acts [door: terminal].

The same card client as a box's, with one thing more that it can be made to sign. The PIN is typed
at the terminal, unseen, or at the reader's own pad; it is in no argument and in no file.
"""

from __future__ import annotations

import secrets
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sdbox_agent import terminal
from sdbox_agent.card import pcsc, pin, piv, work
from sdbox_agent.card.conversation import Conversation
from sdbox_agent.cardkind import CardKind
from sdbox_agent.errors import AskAgain, DecodeError, Refused
from sdbox_agent.provision import cardcheck
from sdbox_centre.staff import payload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.card.channel import Channel
    from sdbox_centre.staff.payload import Act

KIND: Final = CardKind(name="staff", pin_policy="once")  # any PIV card with a PIN


class StaffCard(Conversation):
    """One connection to the card: a `signer.Signer` once it has its PIN."""

    def sign_act(self, act: Act) -> tuple[bytes, bytes]:
        """As `Signer.sign_act`: a box has no such thing."""
        key, certificate_der = self._holder("9A")
        said = payload.encode(act)
        payload.parse(said)  # only an act's bytes are signed
        unsigned = work.built(payload.TYP, said, key, certificate_der)
        with self._telling_a_removal():
            self._same_card(certificate=True)
            made = unsigned.signed(lambda digest: self._sign(piv.KEYS["9A"], key, digest))
        return made.protected, made.signature


@contextmanager
def opened(channel: Channel, descriptor: int) -> Iterator[StaffCard]:
    """The card behind a channel, with its PIN given; reset when it is let go.

    `descriptor`: where the PIN is typed. Raises Refused, Fault: as `Token.open`, card-blocked;
    AskAgain: pin-malformed, pin-wrong, pin-last-try (a last try is left for a box to give).
    """
    card = StaffCard(channel, secrets.token_bytes)
    try:
        face = card.open((KIND,))
        if face.pin_left == 0:
            raise Refused("card-blocked")
        if face.pin_left is not None:
            _give_pin(card, descriptor, pad=face.pad)
        yield card
    finally:
        card.close()


@contextmanager
def at_reader(wanted: str | None) -> Iterator[StaffCard]:
    """The card in the one reader that has one, or in the one of that name. Raises as `opened`."""
    reader = cardcheck.choose(cardcheck.readers(), wanted)
    channel = pcsc.Connection(reader.reader, reader.events)
    with opened(channel, sys.stdin.fileno()) as signer:
        yield signer


def _give_pin(card: StaffCard, descriptor: int, *, pad: bool) -> None:
    if pad:
        print("PIN at the reader's keys", file=sys.stderr)  # noqa: T201
        left = card.verify_pin(None, last=False)
    else:
        left = _typed(card, descriptor)
    if left is not None:
        raise AskAgain("pin-wrong") if left else Refused("card-blocked")


def _typed(card: StaffCard, descriptor: int) -> int | None:
    print("PIN: ", end="", file=sys.stderr, flush=True)  # noqa: T201
    field = bytearray(pin.FIELD_BYTES)
    try:
        terminal.read_pin(descriptor, field)
        return card.verify_pin(field, last=False)
    except DecodeError:
        raise AskAgain("pin-malformed") from None
    finally:
        pin.wipe(field)
        print(file=sys.stderr)  # noqa: T201
