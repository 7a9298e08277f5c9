"""PC/SC as it is, through pyscard's plain binding, for the virtual card's own tests."""

from types import TracebackType
from typing import Self

from smartcard import scard


class PcscError(Exception):
    """A PC/SC call failed."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code & 0xFFFFFFFF:#010x}")
        self.code = code & 0xFFFFFFFF


def _good(result: list) -> list:
    code, *rest = result
    if code != scard.SCARD_S_SUCCESS:
        raise PcscError(code)
    return rest


class Client:
    """One context, and one card connection after `connect`."""

    def __init__(self) -> None:
        (self._context,) = _good(list(scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)))
        self._card: object = None
        self._protocol = 0

    def readers(self) -> list[str]:
        (names,) = _good(list(scard.SCardListReaders(self._context, [])))
        return names

    def wait(self, reader: str, *, present: bool, deadline_ms: int = 30_000) -> None:
        """Until the reader reports a card, or none."""
        state = scard.SCARD_STATE_UNAWARE
        wanted = scard.SCARD_STATE_PRESENT if present else scard.SCARD_STATE_EMPTY
        while not state & wanted:
            (found,) = _good(
                list(scard.SCardGetStatusChange(self._context, deadline_ms, [(reader, state)]))
            )
            state = found[0][1] & ~scard.SCARD_STATE_CHANGED

    def connect(self, reader: str, *, shared: bool = False) -> None:
        share = scard.SCARD_SHARE_SHARED if shared else scard.SCARD_SHARE_EXCLUSIVE
        both = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        self._card, self._protocol = _good(
            list(scard.SCardConnect(self._context, reader, share, both))
        )

    def transmit(self, command: bytes) -> bytes:
        (answer,) = _good(list(scard.SCardTransmit(self._card, self._pci(), list(command))))
        return bytes(answer)

    def disconnect(self, disposition: int = scard.SCARD_RESET_CARD) -> None:
        card, self._card = self._card, None
        _good([scard.SCardDisconnect(card, disposition)])

    def close(self) -> None:
        if self._card is not None:
            scard.SCardDisconnect(self._card, scard.SCARD_RESET_CARD)
        scard.SCardReleaseContext(self._context)

    def _pci(self) -> int:
        t1 = self._protocol == scard.SCARD_PROTOCOL_T1
        return scard.SCARD_PCI_T1 if t1 else scard.SCARD_PCI_T0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
