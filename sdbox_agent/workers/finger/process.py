"""One transaction of the finger process: the dialogue with the core, from `prepare` to the end.

Knows no systemd and no argument vector; what is asked of the card is `card_side`'s.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent import errors, ipc
from sdbox_agent.biometrics import decision, enrolled, oncard, quality, touch
from sdbox_agent.biometrics.comparison import Prepared, prepare
from sdbox_agent.errors import AskAgain, Bug, DecodeError, SdboxError
from sdbox_agent.sensor import detect, intake
from sdbox_agent.sensor.port import Interrupted
from sdbox_agent.sensor.replay import Replays
from sdbox_agent.sensor.scan import Scanner
from sdbox_agent.workers.finger import card_side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from sdbox_agent.cardkind import Bit, FingerKey
    from sdbox_agent.paths import Paths
    from sdbox_agent.sensor.port import Sensor
    from sdbox_agent.sensorkind import SensorKind

# -- ours ----------------------------------------------------------------------------------------

MOST_CAPTURES: Final = 3  # of one attempt: the threshold stands for a rate of so many
FAILURES: Final = 2  # of one finger, after which the other one is proposed


class Ended(Exception):  # noqa: N818  a state, told as an exception
    """The core has cancelled, or is gone."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A touch worth an attempt: as we compare it, and as each of the card's fingers takes it."""

    quality: int
    spoilt: str | None  # what makes it likely to fail (an AskAgain code), if anything does
    cause: str | None  # what to say if it has failed
    prepared: Prepared = field(repr=False)
    for_card: dict[FingerKey, bytes] = field(repr=False)


class FingerProcess:
    """One transaction with the core behind `core`, a sensor, and the card worker's socket."""

    def __init__(
        self,
        core: ipc.Channel[ipc.ToFinger],
        sensor: Sensor,
        paths: Paths,
        card_uid: int,
        *,
        begun: Callable[[], object] = lambda: None,
    ) -> None:
        """`begun` is called once, as the transaction begins."""
        self._core = core
        self._sensor = sensor
        self._card = card_side.CardWorker(
            paths.unwrap_socket, card_uid, core.fileno(), self._interrupted
        )
        self._begun = begun
        self._n = 0
        self._scanner: Scanner[Probe] | None = None  # from `prepare` on
        self._captures = 1  # of one attempt
        self._failures = 0  # scans without a probe, attempts without a match
        self._references: list[tuple[int, Prepared]] = []  # at host-match
        self._more: Iterator[tuple[int, Prepared]] = iter(())  # of them, still to be made
        self._bits: tuple[Bit, ...] = ()  # at card-match
        self._probe: Probe | None = None

    def run(self) -> int:
        """Serve the transaction; the process's exit status."""
        code = "unforeseen"
        try:
            self._serve()
        except (Ended, ipc.Closed):
            return 0
        except SdboxError as error:
            code = error.code
        except DecodeError:
            code = "worker-protocol"
        except Exception as error:  # noqa: BLE001  a message could quote a key: only its type is told
            sys.stderr.write(f"unforeseen: {type(error).__name__}\n")
        else:
            return 0
        finally:
            self._sensor.close()
        return self._fail(code)

    def _fail(self, code: str) -> int:
        try:
            self._core.send(ipc.Failed(n=self._n, code=code))
        except OSError:  # Closed is one: nobody is left to be told
            return 2
        return 1

    def _serve(self) -> None:
        self._sensor.open()
        detect.check_layout()
        self._core.send(ipc.FingerReady())
        request = self._receive()
        if not isinstance(request, ipc.PrepareFinger):
            raise Bug("worker-protocol")
        self._begun()
        self._prepare(request)
        self._core.send(ipc.Prepared(n=self._n))
        self._references.extend(self._more)  # while the person lays the finger
        while not self._matched(self._receive()):
            pass

    def _receive(self) -> ipc.ToFinger:
        """The next request. Raises Ended at `cancel` and at the end."""
        try:
            request = self._core.receive()
        except ipc.Closed:
            raise Ended from None
        if isinstance(request, ipc.Cancel):
            raise Ended
        return request

    def _interrupted(self) -> NoReturn:
        """The core spoke while something was going on: that can only be the end."""
        self._receive()
        raise Bug("worker-protocol")

    def _matched(self, request: ipc.ToFinger) -> bool:
        """Do one request; True once the finger has matched, which ends the transaction."""
        if request.n != self._n:
            raise Bug("worker-protocol")
        match request:
            case ipc.Scan():
                try:
                    self._scan()
                except AskAgain as error:
                    nobody = error.code == "finger-timeout"
                    code = error.code if nobody else self._failed() or error.code
                    self._core.send(ipc.Failed(n=self._n, code=code))
                return False
            case ipc.Compare():
                probe, self._probe = self._probe, None
                if probe is None:
                    raise Bug("worker-protocol")
                verdict = self._verdict(probe, request.key)
                self._core.send(verdict)
                return verdict.match
            case _:
                raise Bug("worker-protocol")

    # -- reference -------------------------------------------------------------------------------

    def _prepare(self, request: ipc.PrepareFinger) -> None:
        """Take what is to be compared with: a reference that we open, or fingers the card holds."""
        self._n = request.n
        request.sensor.check_driver(self._sensor.driver)
        replays = Replays(request.frame_key, request.frame_tags, self._taken)
        judge = functools.partial(self._judged, request.sensor)
        self._scanner = Scanner(self._sensor, request.captures, replays, judge)
        match request.level, request.sealed, request.bits:
            case "host-match", bytes(), ():
                opened = card_side.opened(request, self._card)
                self._more = enrolled.views(opened.record, opened.finger_positions)
                self._captures = min(request.captures, MOST_CAPTURES)
            case "card-match", None, (_, *_) as bits if len({bit.key for bit in bits}) == len(bits):
                for bit in bits:
                    oncard.check(bit)
                self._bits = bits
            case _:
                raise Bug("worker-protocol")

    # -- probe -----------------------------------------------------------------------------------

    def _judged(self, kind: SensorKind, pixels: NDArray[np.uint8]) -> Probe:
        """Pixels as a probe. Raises AskAgain if it is not worth an attempt."""
        seen = touch.measure(pixels, kind.dpi)
        touch.check(seen)
        cause = touch.cause(seen)
        try:
            template = intake.probe(pixels, kind)
            prepared = prepare(template)
            value = quality.check_probe(quality.measure(template, prepared))
            for_card = {bit.key: oncard.probe(template, bit) for bit in self._bits}
        except AskAgain as error:
            raise errors.error(cause or error.code) from None
        return Probe(value, touch.spoilt(seen), cause, prepared, for_card)

    def _scan(self) -> None:
        """Scan until a probe is worth an attempt. Raises AskAgain with the last one's why."""
        self._probe = None
        self._probe = self._touched(choosy=True)
        self._core.send(ipc.ProbeReady(n=self._n, quality=self._probe.quality))

    def _touched(self, *, choosy: bool) -> Probe:
        if self._scanner is None:
            raise Bug("worker-protocol")
        try:
            return self._scanner.scan(self._core.fileno(), self._hint, choosy=choosy)
        except Interrupted:
            self._interrupted()

    def _taken(self, tag: bytes) -> None:
        self._core.send(ipc.FrameTaken(n=self._n, tag=tag))

    def _hint(self, code: str) -> None:
        self._core.send(ipc.Hint(n=self._n, code=code))

    def _failed(self) -> str | None:
        """Count it; what to propose to a person with two fingers when one fails again."""
        self._failures += 1
        fingers = {position for position, _ in self._references}
        again = self._failures >= FAILURES and len(fingers) > 1
        return "other-finger-better" if again else None

    # -- decision --------------------------------------------------------------------------------

    def _verdict(self, probe: Probe, key: FingerKey | None) -> ipc.Verdict:
        """What one attempt comes to; each probe serves once."""
        if self._bits:
            match, left = self._on_card(probe, key)
            return ipc.Verdict(n=self._n, match=match, left=left)
        if key is not None:
            raise Bug("worker-protocol")
        score = self._score(probe)
        if decision.accepts(score):
            return ipc.Verdict(n=self._n, match=True, band=decision.band(score))
        return ipc.Verdict(n=self._n, match=False, advice=self._failed())

    def _score(self, probe: Probe) -> float:
        """Of the attempt's captures: another is asked for while they don't match."""
        captures = [probe.prepared]
        while True:
            score = decision.fused(captures, self._references)
            if decision.accepts(score) or len(captures) >= self._captures:
                return score
            self._hint(probe.cause or "lift-and-place")
            another = self._another()
            if another is None:
                return score
            probe = another
            captures.append(probe.prepared)

    def _another(self) -> Probe | None:
        """The attempt's next touch that can be compared; None if nobody touches any more."""
        while True:
            try:
                return self._touched(choosy=False)
            except AskAgain as error:
                if error.code == "finger-timeout":
                    return None

    def _on_card(self, probe: Probe, key: FingerKey | None) -> tuple[bool, int | None]:
        """Whether the card finds that it matches, and what it has left for that finger."""
        if key not in probe.for_card:
            raise Bug("worker-protocol")
        question = ipc.OnCardCompare(n=self._n, key=key, minutiae=probe.for_card[key])
        answer = self._card.ask(question, ipc.Compared)
        return answer.match, answer.left
