"""Personalising through a real pcscd: a blank goes in, a believed card comes out; also torn."""

import queue
import secrets
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hil.card.card import PivCard
from hil.card.faults import TearAt, TearPoint
from hil.card.slot import Slot
from hil.pcscd import Pcscd
from sdbox_agent.card import apdu, pcsc, piv
from sdbox_agent.errors import Refused
from sdbox_centre.deskcard import DeskCard
from sdbox_centre.personalise import Desk
from tests import kinds
from tests.pki.grown import GUID, NOW
from tests.sdbox_centre.desking import BITS, Bench, blank, desk, is_bound, minutiae, order, touch
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from sdbox_agent.card.looks import Looks

pytestmark = pytest.mark.rig


class OnDesk:
    """The desk's reader: a new connection to the card of this insertion, each time."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.reader_name = slot.reader_name
        self._looks: queue.SimpleQueue[Looks] = queue.SimpleQueue()
        self.watcher = pcsc.Watcher(self._looks.put)
        self._events = -1

    def insert(self, card: PivCard, *faults: TearAt) -> None:
        """In, and seen by PC/SC as another insertion than the last."""
        self._slot.remove()
        self._until(present=False)
        self._slot.insert(card, faults)
        self._until(present=True)

    def _until(self, *, present: bool) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            looks = self._looks.get(timeout=max(0.01, end_s - time.monotonic()))
            for look in looks:
                if look.reader == self._slot.reader_name and look.present is present:
                    self._events = look.events
                    return

    def connect(self) -> pcsc.Connection:
        return pcsc.Connection(self._slot.reader_name, self._events)

    def desk(self) -> Desk:
        return desk(self.connect)


@pytest.fixture
def on_desk(slot: Slot) -> Iterator[OnDesk]:
    Pcscd.shared()
    made = OnDesk(slot)
    yield made
    made.watcher.stop()


def opened(on_desk: OnDesk) -> DeskCard:
    card = DeskCard(on_desk.connect(), secrets.token_bytes)
    card.select()
    return card


@pytest.mark.parametrize("kind", [kinds.MATCH, kinds.MATCH_7816], ids=lambda kind: kind.name)
def test_a_card_that_a_finger_alone_opens(on_desk: OnDesk, kind) -> None:
    on_desk.insert(blank(kind))
    made = on_desk.desk().personalise(order(kind, enrolled=2), NOW, touch)
    card = opened(on_desk)
    try:
        assert card.ask(0x80) == piv.SW_BLOCKED
        assert card.keys(made.certificates) == {piv.SW_SECURITY_STATUS}
        assert card.compare(BITS[1], minutiae("test-another-finger"), kind.verify) == 0x63C4
        assert card.compare(BITS[1], touch(BITS[1]), kind.verify) == apdu.SW_OK
        assert card.keys(made.certificates) == {apdu.SW_OK}
    finally:
        card.channel.close()
    again = opened(on_desk)  # a reset forgets the match
    try:
        assert again.keys(made.certificates) == {piv.SW_SECURITY_STATUS}
    finally:
        again.channel.close()


@pytest.mark.parametrize("algorithm", ["P-256", "RSA-2048"])
def test_others_read_a_card_of_ours(on_desk: OnDesk, algorithm) -> None:
    on_desk.insert(blank(kinds.FREE))
    made = on_desk.desk().personalise(order(kinds.FREE, algorithm=algorithm), NOW)
    card = opened(on_desk)
    assert piv.decode_chuid(card.read(piv.OBJECT_CHUID) or b"").guid == GUID
    card.channel.close()
    for identifier, der in (
        ("01", made.certificates.auth),
        ("03", made.certificates.key_management),
    ):
        read = subprocess.run(
            ["pkcs15-tool", "--reader", on_desk.reader_name, "--read-certificate", identifier],
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
        assert x509.load_pem_x509_certificate(read).public_bytes(Encoding.DER) == der
    assert made.proof is None


def test_fault_5_torn_from_the_reader_it_goes_on(on_desk: OnDesk) -> None:
    commands = commands_of_a_whole_run()
    kept: set[bytes] = set()
    for what in (0x47, 0xDB, 0x24, 0x2C, 0x20):  # the last of each in its first third
        card = blank(kinds.MATCH)
        at = next(n for n, frame in enumerate(commands, 1) if frame[1] == what)
        on_desk.insert(card, TearAt(at, TearPoint.REPLY))
        with pytest.raises(Refused, match="card-removed"):
            on_desk.desk().personalise(order(kinds.MATCH), NOW, touch)
        on_desk.insert(card)
        made = on_desk.desk().personalise(order(kinds.MATCH), NOW, touch)
        assert is_bound(made.certificates.auth)
        assert (card.pin_tries_left, card.puk_tries_left) == (0, 0)
        kept.add(made.certificates.auth)
    assert len(kept) == 5


def commands_of_a_whole_run() -> list[bytes]:
    bench = Bench(blank(kinds.MATCH))
    desk(bench.connect).personalise(order(kinds.MATCH), NOW, touch)
    return bench.commands
