"""What Yubico's tools ask of a card beyond PIV, added to one that has only PIV.

They open no session with a card that does not tell the version of its firmware (FD), and they send
no Le and want the answer all the same, of GET RESPONSE too. That much is answered here in the
card's place; everything else is the card's own. It is of version 4, so that they do not ask for
what came later: the metadata instruction (F7).
"""

from hil.card.apdu import Command, Reply
from hil.card.applet import PivApplet
from hil.card.card import PivCard
from hil.card.chip import Chip

GET_VERSION = 0xFD
VERSION = bytes([4, 0, 0])


class _Application:
    def __init__(self, applet: PivApplet) -> None:
        self._applet = applet

    @property
    def chainable(self) -> frozenset[int]:
        return self._applet.chainable

    def handle(self, command: Command) -> Reply:
        if command.ins == GET_VERSION:
            return Reply(VERSION)
        return self._applet.handle(command)


class _Chip(Chip):
    def transmit(self, raw: bytes) -> bytes:
        without_le = len(raw) == 4 or (len(raw) > 5 and len(raw) == 5 + raw[4])
        return super().transmit(raw + b"\x00" if without_le else raw)


class YubicoDialect:
    """A PIV card that Yubico's tools talk to."""

    def __init__(self, card: PivCard) -> None:
        self._card = card
        self.atr = card.atr

    def power_on(self) -> Chip:
        return _Chip(_Application(PivApplet(self._card._memory)))
