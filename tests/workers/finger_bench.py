"""What stands around a finger process in its tests: core, card worker, sensor and desk."""

import dataclasses
import functools
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from hil.card import matcher
from hil.finger import sensor
from hil.finger.person import Person
from hil.finger.sensor import VirtualSensor
from sdbox_agent import ipc
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import oncard
from sdbox_agent.biometrics.minutia import Template
from sdbox_agent.cardkind import Bit
from sdbox_agent.paths import Paths
from sdbox_agent.pki import cms
from sdbox_agent.sensor import detect
from sdbox_centre import authority, desk
from tests.pki import grown
from tests.waiting import PATIENCE_S

N = 5
FRAME_KEY = bytes(range(32))
HOLDER, STRANGER = Person(101), Person(202)
BITS = (
    Bit(key="96", position=2, minimum=12, maximum=60, order=0x09),
    Bit(key="97", position=7, minimum=12, maximum=40, order=0x12),
)
TRIES = 10
_START = (
    "import os, sys; os.dup2(0, 3); os.dup2(os.open(os.devnull, os.O_RDONLY), 0);"
    "os.environ['LISTEN_PID'] = str(os.getpid());"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

MODULE = "sdbox_agent.workers.finger"
_NOT_CLEAR = (
    "from sdbox_agent.sensor import libfprint; libfprint._Capture.is_clear = lambda self: True;"
    f"import runpy; runpy.run_module('{MODULE}', run_name='__main__', alter_sys=True)"
)


@functools.cache
def template(person: Person, position: int, touch: int) -> Template:
    return detect.extract(person.touch(position, touch).pixels, 500)


@functools.cache
def record() -> bytes:
    """The holder's two fingers, two impressions each, as the desk takes them."""
    fingers = {p: [template(HOLDER, p, k) for k in (1, 2)] for p in HOLDER.positions}
    return iso.encode(iso.record_of(fingers, 400, 400))


@functools.cache
def sealed(content: bytes | None = None) -> bytes:
    content = record() if content is None else content
    card = grown.card().certificates
    return desk.enrol(content, card, grown.SUBJECT, grown.NOW, grown.signer()).sealed_der


@functools.cache
def on_card(key: str) -> bytes:
    """What the holder's card keeps of that finger."""
    (bit,) = (bit for bit in BITS if bit.key == key)
    return oncard.reference(template(HOLDER, bit.position, 1), bit)


def prepare(**other) -> ipc.PrepareFinger:
    """Of a sealed reference; `level="card-match"`: of the fingers on a card."""
    card = grown.card().certificates
    hosted = other.get("level", "host-match") == "host-match"
    fields = {
        "n": N,
        "level": "host-match",
        "sealed": sealed() if hosted and "sealed" not in other else None,
        "bits": () if hosted else BITS,
        "crls": (grown.desk_authority().crl(1, grown.NOW),),
        "auth": card.auth,
        "key_management": card.key_management,
        "card_auth": card.card_auth,
        "enrolment": grown.SUBJECT.enrolment,
        "anchors": (authority.der_of(grown.desk_authority().certificate),),
        "utc_s": grown.NOW_S + 60,
        "captures": 3,
        "sensor": sensor.kind(),
        "frame_key": FRAME_KEY,
    } | other
    return ipc.PrepareFinger(**fields)


class FakeCard:
    """The card worker's end of the direct channel: answers by `answer(question)`; None: silence.

    By itself it unwraps with the card's key, and compares as the virtual card does.
    """

    def __init__(self, path: Path, answer=None) -> None:
        path.parent.mkdir(parents=True)
        self.asked = 0
        self.probes: list[bytes] = []
        self.left = TRIES
        self._answer = answer or self.answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ipc.name_senders(self._listener)
        self._listener.bind(str(path))
        self._listener.listen()
        self._end, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self, question: ipc.ToCardFromFinger) -> ipc.Message:
        if isinstance(question, ipc.Unwrap):
            return self.unwrap(question)
        self.probes.append(question.minutiae)
        match = matcher.matches(on_card(question.key), question.minutiae)
        self.left = TRIES if match else self.left - 1
        return ipc.Compared(n=question.n, match=match, left=None if match else self.left)

    @staticmethod
    def unwrap(request: ipc.Unwrap) -> ipc.Message:
        message = cms.parse(sealed())
        assert request.algorithm == message.algorithm
        return ipc.Unwrapped(n=request.n, key=grown.card().open(_with(message, request.blob)))

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._end], [], [])
            if self._end in ready:
                return
            connection, _ = self._listener.accept()
            channel = ipc.Channel(connection, ipc.ToCardFromFinger, os.getuid())
            question = channel.receive()
            self.asked += 1
            answer = self._answer(question)
            if answer is None:
                select.select([self._end], [], [])
            else:
                channel.send(answer)
            channel.close()

    def close(self) -> None:
        os.write(self._stop, b"x")
        self._thread.join(PATIENCE_S)
        self._listener.close()
        os.close(self._end)
        os.close(self._stop)


def _with(message: cms.SealedReference, blob: bytes) -> cms.SealedReference:
    return dataclasses.replace(message, blob=blob)


class Bench:
    """A finger process, and everything it speaks to. A context manager that leaves nothing."""

    def __init__(
        self,
        root: Path,
        *,
        sensor: bool = True,
        answer=None,
        by: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        clear: bool = True,
    ) -> None:
        """`sensor`: libfprint's virtual one; `by`: a command that starts the process.

        Not `clear`: what lies on the sensor before the prompt is taken, as it is not on a box.
        """
        self.card = FakeCard(Paths(root).unwrap_socket, answer)
        self._path = root / "sensor.sock"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(PATIENCE_S)
        self.core = ipc.Channel(ours, ipc.FromFinger, os.getuid())
        variables = {"PATH": "/usr/bin:/bin", "LISTEN_FDS": "1", "LC_ALL": "C.UTF-8"}
        variables |= environment or {}
        if sensor:
            variables["FP_VIRTUAL_IMAGE"] = str(self._path)
        uid = str(os.getuid())
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [
                *by,
                *(sys.executable, "-c", _START),
                *(("-m", MODULE) if clear else ("-c", _NOT_CLEAR)),
                *("--root", str(root)),
                *("--core-uid", uid, "--card-uid", uid),
            ],
            cwd=Path(__file__).parents[2],
            env=variables,
            stdin=theirs,  # of all descriptors, what `by` leaves open
            stdout=subprocess.DEVNULL,
            # libusb says under umockdev what fills a pipe and stops it
            stderr=subprocess.DEVNULL if by else subprocess.PIPE,
        )
        theirs.close()
        self._hand: VirtualSensor | None = None
        self.hints: list[str] = []
        self.tags: list[bytes] = []

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_) -> None:
        self.core.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()
            if self._hand is not None:
                self._hand.close()
            self.card.close()

    @property
    def hand(self) -> VirtualSensor:
        if self._hand is None:
            self._hand = VirtualSensor.connect(self._path)
        return self._hand

    def answer(self) -> ipc.Message:
        """The next message that is neither a hint nor a frame's tag; those are kept."""
        while isinstance(message := self.core.receive(), ipc.Hint | ipc.FrameTaken):
            self._keep(message)
        return message

    def _keep(self, message: ipc.Hint | ipc.FrameTaken) -> None:
        if isinstance(message, ipc.Hint):
            self.hints.append(message.code)
        else:
            self.tags.append(message.tag)

    def ready(self) -> None:
        assert self.answer() == ipc.FingerReady()

    def prepared(self, **other) -> None:
        self.ready()
        self.core.send(prepare(**other))
        assert self.answer() == ipc.Prepared(n=N)

    def scan(self, *touches) -> ipc.Message:
        """Ask for a scan, lay each touch when invited; what comes of it."""
        self.core.send(ipc.Scan(n=N))
        self._lay(touches)
        return self.answer()

    def _lay(self, touches) -> None:
        for touch in touches:
            while (hint := self.core.receive()) != ipc.Hint(n=N, code="place-finger"):
                assert isinstance(hint, ipc.Hint | ipc.FrameTaken), hint
                self._keep(hint)
            self.hand.lay(touch)

    def compare(self, *touches, key=None) -> ipc.Message:
        """Ask for a comparison, lay each touch when another is asked for; what comes of it."""
        self.core.send(ipc.Compare(n=N, attempt=1, key=key))
        self._lay(touches)
        return self.answer()

    def ended(self) -> int:
        """Wait for the end; the exit status."""
        try:
            while True:
                self.core.receive()
        except ipc.Closed:
            return self.process.wait(PATIENCE_S)
