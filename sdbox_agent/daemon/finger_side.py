"""The finger's side: one process a transaction, warm before it is needed."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from sdbox_agent import errors, ipc
from sdbox_agent.errors import AskAgain, Fault
from sdbox_agent.session import events as on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.cardkind import FingerKey
    from sdbox_agent.daemon.context import Context
    from sdbox_agent.daemon.links import Link
    from sdbox_agent.sensorkind import SensorKind
    from sdbox_agent.session.effects import PrepareFinger


class FingerSide:
    """Speaks to the finger process of this transaction. What passes here is sealed or a verdict."""

    link: Link[ipc.FromFinger]

    def __init__(
        self,
        context: Context,
        anchors: Sequence[bytes],
        desk_lists: Callable[[], tuple[bytes, ...]],
        sensor: SensorKind,
        frame_key: bytes,
    ) -> None:
        """`anchors`: enrolment-signing authorities, DER; `desk_lists`: their newest CRLs.

        `frame_key`: 32 random bytes of this start.
        """
        self._context = context
        self._anchors = tuple(anchors)
        self._sensor = sensor
        self._desk_lists = desk_lists
        self._frame_key = frame_key
        self._frame_tags: deque[bytes] = deque(maxlen=ipc.MAX_FRAME_TAGS)
        self._sealed_sha256: bytes | None = None
        self._used = False  # this process has been given a reference
        self._done = False  # it has ended with its work, and the next one is not wanted yet
        self._why: str | None = None  # what the last spare said before it ended

    def prepare(self, effect: PrepareFinger) -> None:
        """-> FingerPrepared."""
        card, sealed = effect.card, effect.sealed
        self._sealed_sha256 = None if sealed is None else hashlib.sha256(sealed).digest()
        self._used = True
        prepare = ipc.PrepareFinger(
            n=effect.n,
            level="card-match" if sealed is None else "host-match",
            sealed=sealed,
            bits=card.bits if sealed is None else (),
            crls=self._desk_lists(),
            auth=card.auth,
            key_management=card.key_management,
            card_auth=card.card_auth,
            enrolment=effect.enrolment,
            anchors=self._anchors,
            utc_s=self._context.utc_s(),
            captures=effect.captures,
            sensor=self._sensor,
            frame_key=self._frame_key,
            frame_tags=tuple(self._frame_tags),
        )
        try:
            self.link.send(prepare)
        except Fault:
            if self._why is None:
                raise
            raise errors.error(self._why) from None  # what the last spare said before it ended

    def scan(self, n: int) -> None:
        """-> Hinted, then ProbeReady or ProbePoor."""
        self.link.send(ipc.Scan(n=n))

    def compare(self, n: int, attempt: int, key: FingerKey | None) -> None:
        """-> Hinted, then FingerMatched or FingerRejected."""
        self.link.send(ipc.Compare(n=n, attempt=attempt, key=key))

    @property
    def there(self) -> bool:
        """Is there a process, or would there be one, were it wanted?"""
        return self.link.up or self._done

    def warm(self) -> None:
        """A card is in: a process will be needed. One that is waited for is asked for now."""
        if not self.link.up:
            self._done = False
            self.link.connect()

    def end(self) -> None:
        """This process dies with its connection; the next one starts warm. A fresh one may stay."""
        if self._used or not self.link.up:
            self.renew()

    def renew(self) -> None:
        """Another process, whatever this one has done."""
        self._used = self._done = False
        self.link.recycle()

    def _retire(self) -> None:
        """It forgets by ending. The next one starts with `end`: it would take a processor now."""
        self._used, self._done = False, True
        self.link.end()

    def devices_changed(self, sensors: int) -> None:
        """A sensor of the profile came or went; so many may be used now.

        A process knows the sensors that were there when it began. One that waits is renewed; one at
        work hears itself of its own sensor's end, but not of a second one, which it would not open:
        the person could not know which to touch.
        """
        if not self._used:
            self.renew()
        elif sensors > 1:
            self._context.lost("sensor-ambiguous")

    def lost(self) -> None:
        """The process died. In the middle of a transaction that ends it; a spare one harms nobody.

        A reason that a spare gave (no sensor) is kept for the session that will ask for it.
        """
        used, self._used = self._used, False
        if used:
            self._context.lost("finger-worker-died")

    def heard(self, message: ipc.FromFinger) -> None:
        """A message of the process."""
        self._context.guard(message.n, lambda: self._heard(message))

    def _heard(self, message: ipc.FromFinger) -> None:
        n, feed = message.n, self._context.feed
        match message:
            case ipc.Prepared():
                feed(on.FingerPrepared(n, self._sealed_sha256))
            case ipc.FrameTaken():  # kept whatever became of its session
                self._frame_tags.append(message.tag)
            case ipc.Hint() if _ask_again(message.code):  # no other sentence is its to show
                feed(on.Hinted(n, message.code))
            case ipc.Hint():
                pass
            case ipc.ProbeReady():
                feed(on.ProbeReady(n))
            case ipc.Verdict(match=True):
                self._retire()
                feed(on.FingerMatched(n, message.band))
            case ipc.Verdict(advice=advice):
                known = advice if advice is not None and _ask_again(advice) else None
                feed(on.FingerRejected(n, message.left, known))
            case ipc.Failed():
                self._failed(n, message.code)
            case ipc.FingerReady():
                self._why = None

    def _failed(self, n: int, code: str) -> None:
        if _ask_again(code):
            self._context.feed(on.ProbePoor(n, code))
        elif n == 0:
            self._why = code
        else:
            # As the table has it: its own word would go on, by the record, to the centre.
            self._context.feed(on.Failed(n, errors.error(code).code))


def _ask_again(code: str) -> bool:
    """Can the person mend it? Then the process lives on and may be asked to scan again."""
    return isinstance(errors.error(code), AskAgain)
