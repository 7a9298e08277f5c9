"""Debian's pcscd with virtual readers, in namespaces of its own.

vpcd listens on every address (INADDR_ANY, no option): so pcscd stands in a network namespace with
nothing but `lo`, where the cards join it. Clients of every uid reach it by path: the directory
given is bind-mounted over /run/pcscd in pcscd's own mount namespace, with an empty /run around it,
so that the machine's own pcscd, if there is one, is neither seen nor touched.

pcscd dies with the process that started it (PDEATHSIG), and the namespaces with both: nothing is
left after a kill -9 but two files in the directory, over which the next one starts. It has the user
that a box gives it (systemd/pcscd.service.d/sdbox.conf), no capability, and no way to any.

    with Pcscd(directory, readers=2) as pcscd:
        environ["PCSCLITE_CSOCK_NAME"] = str(pcscd.socket_path)
        pcscd.reader(0).insert(card)

libpcsclite reads that variable once in a process: one process speaks to one socket path, ever.
`Pcscd.shared()` is therefore the one for all tests of a process that are themselves PC/SC clients.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Self

from hil import scratch
from hil.card.namespace import NetworkNamespace
from hil.card.slot import CardError, Slot

if TYPE_CHECKING:
    from types import TracebackType

DRIVER: Final = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
SOCKET_VARIABLE: Final = "PCSCLITE_CSOCK_NAME"
FRIENDLY_NAME: Final = "Virtual PCD"
SLOTS_PER_DRIVER: Final = 2  # vsmartcard 3.3, vpcd/ifd-vpcd.c: VICC_MAX_SLOTS
READERS_MAX: Final = 16  # pcsc-lite 1.9.9, PCSCLITE_MAX_READERS_CONTEXTS
SOCKET_PATH_MAX_BYTES: Final = 107  # unix(7): sun_path with its closing zero
SHARED_READERS: Final = 8

FIRST_PORT: Final = 0x8C7B
START_DEADLINE_S: Final = 5.0
STOP_DEADLINE_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.002

PCSCD_UID: Final = 61010  # sdbox-pcscd (systemd/sdbox.sysusers)
# Runs inside the new mount namespace. $1: the pid that must still be our parent (PDEATHSIG is armed
# by now, so it can only have died before); $2: the directory, held open as it may lie in the /run
# that is covered; $3: the user. A change of user disarms PDEATHSIG: armed and asked again.
_INSIDE: Final = """
set -eu
[ "$PPID" = "$1" ]
exec 9<"$2"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/pcscd
mount --no-canonicalize --bind /proc/self/fd/9 /run/pcscd
exec setpriv --reuid "$3" --regid "$3" --clear-groups --bounding-set=-all --inh-caps=-all \\
    --no-new-privs --pdeathsig KILL \\
    sh -c '[ "$PPID" = "$1" ] && exec pcscd --foreground --config /run/pcscd/readers 9<&-' \\
    pcscd "$1"
"""


class PcscdError(Exception):
    """pcscd did not do as it was told; the message ends with what it printed last."""


class Pcscd:
    """One pcscd and its readers; a context manager that closes it."""

    _shared: ClassVar[Pcscd | None] = None

    def __init__(
        self, directory: Path, *, readers: int = 2, namespace: NetworkNamespace | None = None
    ) -> None:
        """Nothing is started yet.

        Args:
            directory: where clients find pcscd.comm; made if need be, kept afterwards.
            readers: how many; vpcd makes them in pairs, so an odd number leaves one unused.
            namespace: the network namespace to stand in, with `lo` up; a new one if None.
        """
        if not 0 <= readers <= READERS_MAX:
            raise ValueError("pcscd takes 0 to 16 readers")
        self._directory = directory.absolute()
        if len(os.fsencode(self.socket_path)) > SOCKET_PATH_MAX_BYTES:
            raise ValueError("the directory's path is too long for a socket in it")
        self._owns_namespace = namespace is None
        self._namespace = namespace or NetworkNamespace.create()
        self._child: subprocess.Popen[bytes] | None = None
        drivers = -(-readers // SLOTS_PER_DRIVER)
        self._ports = [FIRST_PORT + SLOTS_PER_DRIVER * i for i in range(drivers)]
        self._slots = [
            Slot(_reader_name(i), FIRST_PORT + i, self._namespace) for i in range(readers)
        ]

    @classmethod
    def shared(cls) -> Pcscd:
        """The one of this process: started at the first call, closed at exit, its path in environ.

        Has SHARED_READERS readers. Callers leave its slots empty; if it was ended, it starts again.
        """
        if cls._shared is None:
            directory = scratch.made("pcscd")
            pcscd = cls(directory, readers=SHARED_READERS)
            pcscd.start()
            owner = os.getpid()

            def end() -> None:
                if os.getpid() == owner:
                    pcscd.close()
                    shutil.rmtree(directory, ignore_errors=True)

            atexit.register(end)
            os.environ[SOCKET_VARIABLE] = str(pcscd.socket_path)
            cls._shared = pcscd
        if cls._shared.pid is None:
            cls._shared.start()
        return cls._shared

    @property
    def socket_path(self) -> Path:
        """What PCSCLITE_CSOCK_NAME must be for a client."""
        return self._directory / "pcscd.comm"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variable clients need."""
        return {SOCKET_VARIABLE: str(self.socket_path)}

    @property
    def pid(self) -> int | None:
        """The process, if it is running."""
        running = self._child is not None and self._child.poll() is None
        return self._child.pid if self._child is not None and running else None

    @property
    def log_path(self) -> Path:
        """What pcscd printed: its own words, no APDU (it runs without --apdu)."""
        return self._directory / "pcscd.log"

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Of all readers, in order."""
        return tuple(self._slots)

    def reader(self, index: int) -> Slot:
        """The slot of reader `index`, from 0."""
        return self._slots[index]

    def start(self) -> None:
        """Start it, and put cards that stayed in their slots in contact again.

        From the main thread only: the kernel ends pcscd with the *thread* that started it.

        Raises:
            RuntimeError: it is running, or this is not the main thread.
            PcscdError: no socket within START_DEADLINE_S.
        """
        if self.pid is not None:
            raise RuntimeError("pcscd is running")
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("pcscd would die with this thread: start it from the main one")
        self._directory.mkdir(parents=True, exist_ok=True)
        os.chown(self._directory, PCSCD_UID, PCSCD_UID)
        self.socket_path.unlink(missing_ok=True)
        self._write_readers()
        command = ["setpriv", "--pdeathsig", "KILL"]
        command += ["nsenter", f"--net=/proc/self/fd/{self._namespace.fileno()}"]
        command += ["unshare", "--mount", "--propagation", "private"]
        command += ["sh", "-c", _INSIDE, "pcscd", str(os.getpid())]
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                [*command, str(self._directory), str(PCSCD_UID)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._namespace.fileno()],
                start_new_session=True,
            )
        self._wait_listening()
        for slot in self._slots:
            slot.replug()

    def stop(self) -> None:
        """End it in good order (SIGTERM); cards stay in their slots. Raises PcscdError."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL); cards stay in their slots."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start: the same readers, the same cards in them. Raises PcscdError."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Pull all cards, end pcscd, let the namespace go.

        Raises:
            CardError: a card's own code had failed.
        """
        failures: list[Exception] = []
        for slot in self._slots:
            try:
                slot.remove()
            except CardError as error:
                failures += error.causes
        try:
            self.stop()
        except PcscdError:
            self.kill()
        if self._owns_namespace:
            self._namespace.close()
        if failures:
            raise CardError(failures)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_readers(self) -> None:
        """A driver for each pair of readers, in a file of its own.

        The driver keeps its slots in static variables: loaded twice from one file, the second
        instance takes the first one's readers.
        """
        for name in ("readers", "drivers"):
            (self._directory / name).mkdir(exist_ok=True)
        blocks = []
        for index, port in enumerate(self._ports):
            driver = f"drivers/vpcd-{index}.so"
            shutil.copyfile(DRIVER, self._directory / driver)
            blocks.append(
                f'FRIENDLYNAME "{FRIENDLY_NAME} {index}"\n'
                f"DEVICENAME /dev/null:{port:#06x}\n"
                f"LIBPATH /run/pcscd/{driver}\n"
                f"CHANNELID {port:#06x}\n"
            )
        (self._directory / "readers" / "vpcd").write_text("\n".join(blocks))

    def _wait_listening(self) -> None:
        end = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < end and self.pid is not None:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket_path))
                except (FileNotFoundError, ConnectionRefusedError):
                    time.sleep(_LOOK_AGAIN_S)
                else:
                    return
        self.kill()
        raise PcscdError(f"pcscd did not start: {self._last_words()}")

    def _end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        self._child.send_signal(number)
        try:
            self._child.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise PcscdError(f"pcscd does not end: {self._last_words()}") from None
        self._child = None

    def _last_words(self) -> str:
        return self.log_path.read_text(errors="replace")[-500:]


def _reader_name(index: int) -> str:
    """As pcsc-lite forms it: the driver's name (two alike are not told apart), 00, the slot."""
    driver, slot = divmod(index, SLOTS_PER_DRIVER)
    return f"{FRIENDLY_NAME} {driver} 00 {slot:02X}"
