"""Any sequence of frames gets a status word from the virtual card, and never an exception.

Input: frames, each after a byte with its length; a length of zero is a reset.
"""

from hil.card import apdu, chip
from hil.card.card import PivCard
from tests.fuzz import structure

CARD = PivCard.create(
    algorithms={"9A": "P-256", "9C": "P-256", "9D": "P-256", "9E": "P-256"}, pin_policy="never"
)
SELECT = bytes.fromhex("00A4040009A0000003080000100000")
STATUS_CLASSES = frozenset({0x61, 0x63, 0x67, 0x68, 0x69, 0x6A, 0x6D, 0x6E, 0x90})


def _framed(*frames: str) -> bytes:
    return b"".join(bytes([len(frame) // 2]) + bytes.fromhex(frame) for frame in frames)


DIVISOR = 10  # real keys at work
MUTATE = structure.framed(1, tail=1)
PARSERS = (apdu, chip)
SEEDS: list[bytes] = [
    _framed("00CB3FFF055C035FC10200", "00CB3FFF035C017E00", "00C0000000"),
    _framed("00200080", "0020008008313233343536FFFF", "0020FF80", "00CB3FFF055C035FC10900"),
    _framed("0087119E267C2482008120" + "07" * 32 + "00"),
    _framed("1087119D0A7C4582008541" + "04" * 5, "0087119D3D" + "04" * 61 + "00"),
    _framed("00CB3FFF0000055C035FC1020000", "10870000", ""),
    _framed("0CA40400", "80A40400", "10A40400", "00C0000100", "00C0000000", "00A404000000"),
    _framed("00CB3FFF055C035FC10205", "00C0000004", "00CB3FFF055C035FC102"),
    _framed(*["1087119DFA" + "00" * 250] * 20),
    _framed(
        "00", "00CB3FFF05", "00CB3FFF0500", "00CB3FFF000005", "00CB3FFF00000500", "00CB3FFF0000"
    ),
    _framed("00CB3FFF00000000", "00CB3FFF0000000000", "00CB3FFF0000010000"),
]


def target(data: bytes) -> None:
    """Power on, select, and transmit what `data` says."""
    chip = CARD.power_on()
    chip.transmit(SELECT)
    at = 0
    while at < len(data):
        size = data[at]
        frame = data[at + 1 : at + 1 + size]
        at += 1 + size
        if not frame:
            chip = CARD.power_on()
            continue
        reply = chip.transmit(frame)
        assert len(reply) >= 2, "no status word"
        assert reply[-2] in STATUS_CLASSES, "a status word this card has not"
        assert 0 <= CARD.pin_tries_left <= 5
