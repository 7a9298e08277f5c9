"""The finger process: one transaction, then dead. The only place where minutiae are in the clear.

`python -m sdbox_agent.workers.finger --root DIR --core-uid N --card-uid N`, with the accepted
connection from the core as descriptor 3 (sd_listen_fds(3), Accept=yes). Opens the sealed reference
with the card worker's help, scans, compares, answers match or not: no score, no image, no minutia
leaves. Python can't wipe memory, so the process ends with the transaction: after a match, on
`cancel`, when the core goes away, and on any error but one the person can mend by another touch.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: threads cost memory and win nothing here

import argparse
import ctypes
import hashlib
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent import ipc
from sdbox_agent.biometrics import iso19794_2_2005 as iso
from sdbox_agent.biometrics import quality
from sdbox_agent.biometrics.compare import Prepared, best, is_match, prepare
from sdbox_agent.errors import AskAgain, Bug, DecodeError, Fault, Refused, SdboxError
from sdbox_agent.hardening import close_memory
from sdbox_agent.paths import Paths
from sdbox_agent.pki import cms, reference
from sdbox_agent.pki.holder import CardCertificates
from sdbox_agent.sensor import detect
from sdbox_agent.sensor.libfprint import LibfprintSensor
from sdbox_agent.sensor.port import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_agent.biometrics.minutia import Template
    from sdbox_agent.sensor.port import Frame, Sensor

# -- Linux: mlockall(2) --------------------------------------------------------------------------

MCL_CURRENT_FUTURE_ONFAULT: Final = 1 | 2 | 4

# -- ours ----------------------------------------------------------------------------------------

LIFE_S: Final = 300  # from the beginning of a transaction; then the kernel ends us, stuck or not
CAPTURE_S: Final = 60.0  # a whole transaction; the core's own deadline comes first
UNWRAP_S: Final = 10.0  # the card exchange's deadline
MM_PER_INCH: Final = 25.4


class Ended(Exception):  # noqa: N818  a state, told as an exception
    """The core has cancelled, or is gone."""


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
        self._paths = paths
        self._card_uid = card_uid
        self._begun = begun
        self._n = 0
        self._captures = 0
        self._dpi = 0.0
        self._references: list[Prepared] = []
        self._probe: Prepared | None = None
        self._seen: set[bytes] = set()  # digests of this process's frames

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
        self._n, self._captures = request.n, request.captures
        self._dpi = request.sensor_ppmm * MM_PER_INCH
        if request.level == "host-match":
            self._references = _views(self._opened(request))
        self._core.send(ipc.Prepared(n=self._n))
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
                    self._core.send(ipc.Failed(n=self._n, code=error.code))
                return False
            case ipc.Compare():
                probe, self._probe = self._probe, None
                if probe is None:
                    raise Bug("worker-protocol")
                match = is_match(best(probe, self._references))
                self._core.send(ipc.Verdict(n=self._n, match=match))
                return match
            case _:
                raise Bug("worker-protocol")

    # -- reference -------------------------------------------------------------------------------

    def _opened(self, request: ipc.PrepareFinger) -> reference.OpenedReference:
        """The reference, unsealed with the card's help, its signature and binding checked."""
        if request.sealed is None:
            raise Bug("worker-protocol")
        try:
            sealed = cms.parse(request.sealed)
        except DecodeError:
            raise Refused("reference-malformed") from None
        cms.check_recipient(sealed, request.key_management)
        key = self._unwrap(ipc.Unwrap(n=self._n, algorithm=sealed.algorithm, blob=sealed.blob))
        signed = cms.decrypt(sealed, key, request.key_management)
        card = CardCertificates(request.auth, request.key_management, request.card_auth)
        return reference.verify(
            signed, request.anchors, card, request.enrolment, request.utc_s, request.crls or None
        )

    def _unwrap(self, request: ipc.Unwrap) -> bytes:
        """Ask the card worker. Its refusals come through by their code."""
        try:
            card: ipc.Channel[ipc.Unwrapped | ipc.Failed] = ipc.connect(
                self._paths.unwrap_socket, ipc.Unwrapped | ipc.Failed, self._card_uid
            )
        except OSError:
            raise Fault("card-worker-died") from None
        try:
            card.send(request)
            ready, _, _ = select.select([self._core.fileno(), card.fileno()], [], [], UNWRAP_S)
            if self._core.fileno() in ready:
                self._interrupted()
            if not ready:
                raise Fault("card-mute")
            answer = card.receive()
        except ipc.Closed:
            raise Fault("card-worker-died") from None
        finally:
            card.close()
        if answer.n != self._n:
            raise Bug("worker-protocol")
        if isinstance(answer, ipc.Failed):
            raise Fault(answer.code)  # only passed on: its class stands in errors.toml
        return answer.key

    # -- probe -----------------------------------------------------------------------------------

    def _scan(self) -> None:
        """Capture until a probe is worth an attempt. Raises AskAgain with the last one's why."""
        self._probe = None
        why = AskAgain("finger-poor")
        for _ in range(self._captures):
            try:
                frame = self._sensor.capture(CAPTURE_S, self._core.fileno(), self._invite)
                self._refuse_replay(frame)
                probe, value = _probe(detect.extract(frame.pixels, self._dpi))
            except Interrupted:
                self._interrupted()
            except AskAgain as error:
                if error.code == "finger-timeout":
                    raise
                why = error
                self._core.send(ipc.Hint(n=self._n, code=error.code))
                continue
            self._probe = probe
            self._core.send(ipc.ProbeReady(n=self._n, quality=value))
            return
        raise why

    def _invite(self) -> None:
        self._core.send(ipc.Hint(n=self._n, code="place-finger"))

    def _refuse_replay(self, frame: Frame) -> None:
        """No two touches give the same pixels; an interposer that repeats itself does."""
        digest = hashlib.sha256(frame.pixels.tobytes()).digest()
        if digest in self._seen:
            raise Refused("replayed-sample")
        self._seen.add(digest)


def _probe(template: Template) -> tuple[Prepared, int]:
    """A probe and its quality. Raises AskAgain if it is not worth an attempt."""
    probe = prepare(template)
    return probe, quality.check_probe(quality.measure(template, probe))


def _views(opened: reference.OpenedReference) -> list[Prepared]:
    """The reference's usable views, prepared. Raises Refused reference-malformed or -poor."""
    try:
        record = iso.decode(opened.record)
    except DecodeError:
        raise Refused("reference-malformed") from None
    if {view.position for view in record.views} != set(opened.finger_positions):
        raise Refused("reference-malformed")
    usable = []
    for view in record.views:
        template = record.template(view)
        prepared = prepare(template)
        try:
            quality.check_reference(quality.measure(template, prepared))
        except Refused:
            continue  # one good view is enough; none is a refusal
        usable.append(prepared)
    if not usable:
        raise Refused("reference-poor")
    return usable


def harden() -> None:
    """No core dump, no debugger of our uid, no swap; say so on stderr if memory can't be locked."""
    close_memory()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT_FUTURE_ONFAULT) != 0:  # needs LimitMEMLOCK=infinity
        sys.stderr.write(f"memory is not locked: {os.strerror(ctypes.get_errno())}\n")


def main() -> int:
    """Serve the connection we were started for."""
    parser = argparse.ArgumentParser(prog="sdbox-finger")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--core-uid", type=int, required=True)
    parser.add_argument("--card-uid", type=int, required=True)
    options = parser.parse_args()
    harden()
    sockets = ipc.listen_descriptors()
    if len(sockets) != 1:
        sys.stderr.write("expected one connection as descriptor 3\n")
        return 2
    core: ipc.Channel[ipc.ToFinger] = ipc.Channel(sockets[0], ipc.ToFinger, options.core_uid)
    return FingerProcess(
        core,
        LibfprintSensor(),
        Paths(options.root),
        options.card_uid,
        begun=lambda: signal.alarm(LIFE_S),
    ).run()


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the kernel takes the memory at once; Python's tidying would keep it longer
