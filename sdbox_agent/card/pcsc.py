"""[door] PC/SC, at the level of its own functions (PC/SC part 5; pcsc-lite through pyscard).

pyscard's monitor classes are not used: their thread ends for good when pcscd restarts. Two things
are here: `Connection`, the real channel to one card, and `Watcher`, a thread that waits for PC/SC
to say that something changed. Neither knows PIV, or why anybody asks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from smartcard import scard

from sdbox_agent.card.looks import Look, Looks
from sdbox_agent.errors import Fault, Refused, SdboxError

if TYPE_CHECKING:
    from collections.abc import Callable

# PC/SC part 5 section 3.1 and pcsc-lite's own
_INFINITE: Final = 0xFFFFFFFF  # pyscard's INFINITE is 0x7FFFFFFF: 24.8 days
_PNP: Final = "\\\\?PnP?\\Notification"  # the pseudo reader: "the list of readers changed"

# Ours
_SETTLE_MS: Final = 1000
_BACK_OFF_FIRST_S: Final = 0.05
_BACK_OFF_LAST_S: Final = 2.0

_CODES: Final[dict[int, SdboxError]] = {
    scard.SCARD_E_NO_SMARTCARD: Refused("card-removed"),
    scard.SCARD_W_REMOVED_CARD: Refused("card-removed"),
    scard.SCARD_E_NOT_TRANSACTED: Refused("card-removed"),  # what a pulled card looks like first
    scard.SCARD_E_COMM_DATA_LOST: Refused("card-removed"),
    scard.SCARD_W_UNPOWERED_CARD: Refused("card-removed"),
    scard.SCARD_W_UNRESPONSIVE_CARD: Fault("card-mute"),
    scard.SCARD_W_UNSUPPORTED_CARD: Refused("not-a-piv-card"),
    scard.SCARD_E_PROTO_MISMATCH: Refused("not-a-piv-card"),
    scard.SCARD_E_SHARING_VIOLATION: Fault("card-in-use"),
    scard.SCARD_E_UNKNOWN_READER: Fault("reader-missing"),
    scard.SCARD_E_READER_UNAVAILABLE: Fault("reader-missing"),
    scard.SCARD_E_NO_READERS_AVAILABLE: Fault("reader-missing"),
    scard.SCARD_E_NO_SERVICE: Fault("reader-missing"),
    scard.SCARD_E_SERVICE_STOPPED: Fault("reader-missing"),
    scard.SCARD_E_INVALID_HANDLE: Fault("reader-missing"),  # of a pcscd that is no more
    scard.SCARD_F_COMM_ERROR: Fault("reader-missing"),
}


def _raise(result: int) -> None:
    """Raise what a PC/SC result means to us, unless it is success."""
    result &= 0xFFFFFFFF
    if result == scard.SCARD_S_SUCCESS:
        return
    known = {code & 0xFFFFFFFF: error for code, error in _CODES.items()}.get(result)
    raise type(known)(known.code) if known else Fault("card-failed")


def _context() -> int:
    result, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
    _raise(result)
    return int(context)


def _look(name: str, state: int) -> Look:
    absent = scard.SCARD_STATE_UNKNOWN | scard.SCARD_STATE_UNAVAILABLE
    present = bool(state & scard.SCARD_STATE_PRESENT) and not state & absent
    return Look(name, present, state >> 16)


def look_now() -> tuple[tuple[Look, bytes], ...]:
    """Every reader, and the answer to reset of the card in it; touches no card.

    Raises Fault("reader-missing") without a pcscd.
    """
    context = _context()
    try:
        result, readers = scard.SCardListReaders(context, [])
        if result & 0xFFFFFFFF == scard.SCARD_E_NO_READERS_AVAILABLE & 0xFFFFFFFF:
            return ()
        _raise(result)
        unaware = [(reader, scard.SCARD_STATE_UNAWARE) for reader in readers]
        result, states = scard.SCardGetStatusChange(context, 0, unaware)
        _raise(result)
        return tuple((_look(name, state), bytes(atr)) for name, state, atr in states)
    finally:
        scard.SCardReleaseContext(context)


class Connection:
    """An exclusive connection to the card that is in `reader` since its event number `events`."""

    def __init__(self, reader: str, events: int) -> None:
        """Connect. Raises as `Channel.exchange`; card-removed also if another card is there now."""
        self._context = _context()
        self._card: int | None = None
        self._stopped = False
        self.t0 = False
        self.atr = b""
        try:
            self._connect(reader)
            self._same_insertion(reader, events)
            self.atr = self._answer_to_reset()
        except SdboxError:
            self.close()
            raise

    def _connect(self, reader: str) -> None:
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, card, protocol = scard.SCardConnect(
            self._context, reader, scard.SCARD_SHARE_EXCLUSIVE, protocols
        )
        _raise(result)
        self._card = card
        self.t0 = protocol == scard.SCARD_PROTOCOL_T0
        self._pci = scard.SCARD_PCI_T0 if self.t0 else scard.SCARD_PCI_T1

    def _same_insertion(self, reader: str, events: int) -> None:
        unaware = [(reader, scard.SCARD_STATE_UNAWARE)]
        result, states = scard.SCardGetStatusChange(self._context, 0, unaware)
        _raise(result)
        if _look(reader, states[0][1]) != Look(reader, present=True, events=events):
            raise Refused("card-removed")

    def _answer_to_reset(self) -> bytes:
        result, _, _, _, atr = scard.SCardStatus(self._card)
        _raise(result)
        return bytes(atr)

    def exchange(self, frame: bytes | bytearray) -> bytes:
        """As `Channel.exchange`.

        What is sent may be a PIN: the list it goes in is overwritten. The library's own copy is in
        C memory that it frees at once.
        """
        card = self._taken()
        numbers = list(frame)
        result, reply = scard.SCardTransmit(card, self._pci, numbers)
        for index in range(len(numbers)):
            numbers[index] = 0
        try:
            _raise(result)
            if not reply:  # torn before the reply: pcsc-lite calls that success
                raise Refused("card-removed")
        except SdboxError:
            self.close()
            raise
        return bytes(reply)

    def control(self, code: int, data: bytes, *, waits_s: float = 0.0) -> bytes:  # noqa: ARG002
        """As `Channel.control`."""
        result, reply = scard.SCardControl(self._taken(), code, list(data))
        try:
            _raise(result)
        except SdboxError as error:
            if result & 0xFFFFFFFF not in _NO_SUCH_CONTROL and error.code != "card-failed":
                self.close()
                raise
            return b""
        return bytes(reply)

    def _taken(self) -> int:
        if self._card is None or self._stopped:
            raise Refused("card-removed")
        return self._card

    def stop(self) -> None:
        """As `Channel.stop`."""
        self._stopped = True

    def close(self, parting: tuple[bytes, ...] = ()) -> None:
        """As `Channel.close`: a reset also forgets a PIN or a match."""
        card, self._card = self._card, None
        context, self._context = self._context, 0
        if card is not None:
            for frame in parting:
                if scard.SCardTransmit(card, self._pci, list(frame))[0] != scard.SCARD_S_SUCCESS:
                    break
            scard.SCardDisconnect(card, scard.SCARD_RESET_CARD)
        if context:
            scard.SCardReleaseContext(context)


class Watcher:
    """Calls `post` with all readers, from a thread of its own, at the start and on every change.

    An empty look means that there is no reader, or no pcscd: then it is tried again, 0.05 s to 2 s
    apart, and that is the only time anything here runs without being woken.
    """

    def __init__(self, post: Callable[[Looks], None]) -> None:
        self._post = post
        self._told: Looks | None = None
        self._stopping = threading.Event()
        self._watched: int | None = None
        self._back_off_s = _BACK_OFF_FIRST_S
        self._thread = threading.Thread(target=self._run, name="readers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; gives up on it after half a second."""
        self._stopping.set()
        for _ in range(10):  # a cancel that comes before the wait is lost
            context = self._watched
            if context is not None:
                scard.SCardCancel(context)
            self._thread.join(0.05)
            if not self._thread.is_alive():
                return

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._watched = _context()
                self._watch(self._watched)
            except SdboxError:
                self._tell(())
            finally:
                context, self._watched = self._watched, None
                if context is not None:
                    scard.SCardReleaseContext(context)
            self._stopping.wait(self._back_off_s)
            self._back_off_s = min(2 * self._back_off_s, _BACK_OFF_LAST_S)

    def _watch(self, context: int) -> None:
        """Wait for changes until told to stop, or until PC/SC fails, which raises."""
        known: dict[str, int] = {}
        settled = False
        while not self._stopping.is_set():
            result, readers = scard.SCardListReaders(context, [])
            if result & 0xFFFFFFFF != scard.SCARD_E_NO_READERS_AVAILABLE & 0xFFFFFFFF:
                _raise(result)
            if not readers or not known.keys() <= set(readers):
                known = {reader: known[reader] for reader in readers if reader in known}
                self._tell(_looks(known))
            states = [(reader, known.get(reader, scard.SCARD_STATE_UNAWARE)) for reader in readers]
            # pcsc-lite compares the number of readers with that at the beginning of the wait: one
            # that came after the list and before the wait is missed. So the first wait after any
            # change is short, and the list is read again.
            result, new = scard.SCardGetStatusChange(
                context,
                _INFINITE if settled else _SETTLE_MS,
                [*states, (_PNP, scard.SCARD_STATE_UNAWARE)],
            )
            settled = result & 0xFFFFFFFF == scard.SCARD_E_TIMEOUT & 0xFFFFFFFF
            if settled or result & 0xFFFFFFFF in _LOOK_AGAIN:
                continue
            _raise(result)
            self._back_off_s = _BACK_OFF_FIRST_S
            known = {
                name: state & ~scard.SCARD_STATE_CHANGED for name, state, _ in new if name != _PNP
            }
            self._tell(_looks(known))

    def _tell(self, looks: Looks) -> None:
        if looks != self._told:
            self._told = looks
            self._post(looks)


# What pcscd makes of a driver that says no; a card that is gone shows at the next exchange
_NO_SUCH_CONTROL: Final = {
    scard.SCARD_E_UNSUPPORTED_FEATURE & 0xFFFFFFFF,
    scard.SCARD_E_NOT_TRANSACTED & 0xFFFFFFFF,
}

# A reader went between the list and the wait; or `stop` wants us to see that it is set.
_LOOK_AGAIN: Final = {
    scard.SCARD_E_UNKNOWN_READER & 0xFFFFFFFF,
    scard.SCARD_E_CANCELLED & 0xFFFFFFFF,
}


def _looks(known: dict[str, int]) -> Looks:
    return tuple(_look(name, state) for name, state in known.items())
