"""[door] One container: started, spoken to, and gone without a trace.

It is written over the kept Debian, in a directory of the rig's; a second start finds what the first
has left, as a machine's does. It halts when this process dies, and its mounts go with it. Its
control group stays behind a kill; the next start sweeps that up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hil import host
from hil.net.process import Process, Unit

if TYPE_CHECKING:
    from hil.net.namespace import Namespace

NSPAWN: Final = Path("/usr/bin/systemd-nspawn")
BOOT_S: Final = 60.0
HALT_S: Final = 60.0
COMMAND_S: Final = 300.0
UP: Final = frozenset({"running", "degraded"})  # systemctl(1), is-system-running
_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
# $1: who must still be our parent; $2: the kept Debian; $3: the rig's directory. The unified
# hierarchy of control groups, whatever the host mounts: device and address rules hang there.
_SHAPE: Final = """
set -eu
[ "$PPID" = "$1" ]
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for group in /sys/fs/cgroup/sdbox-boot-*; do
    if [ -d "$group" ] && [ ! -d "/proc/${group##*-}" ]; then
        echo 1 >"$group/cgroup.kill"
        find "$group" -depth -type d -delete || true
    fi
done
mkdir -p "/sys/fs/cgroup/sdbox-boot-$1"
echo $$ >"/sys/fs/cgroup/sdbox-boot-$1/cgroup.procs"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$3/upper,workdir=$3/work" "$3/root"
shift 3
exec "$@"
"""
_SWEEP: Final = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
group=/sys/fs/cgroup/sdbox-boot-$1
echo 1 >"$group/cgroup.kill"
while grep -q "populated 1" "$group/cgroup.events"; do sleep 0.02; done
exec find "$group" -depth -type d -delete
"""


class Failed(Exception):  # noqa: N818  told with what was seen
    """The container did not do as it was told."""


def missing() -> str | None:
    """Why there can be no container here."""
    return (
        host.root()
        or host.program(NSPAWN.name, "systemd-container")
        or host.program("mmdebstrap", "mmdebstrap")
        or host.tun()
        or _no_namespaces()
    )


def _no_namespaces() -> str | None:
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "cgroup2", "c", "/mnt"],
        capture_output=True,
        check=False,
    )
    return "no namespaces, or no control groups" if tried.returncode else None


class Machine:
    """One, in a directory that is empty at first; a context manager that ends it."""

    def __init__(self, lower: Path, room: Path, network: Namespace, screen: str) -> None:
        """`network`: where its only device is. `screen`: the terminal that is its tty1."""
        self._lower, self._room, self._network, self._screen = lower, room, network, screen
        self._process: Process | None = None
        self.leader = 0  # its first process, as we see it
        for name in ("upper", "work", "root"):
            (room / name).mkdir(mode=0o755)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def arguments(self) -> list[str]:
        """What nspawn is given.

        What a box's own manager uses and nspawn keeps from containers is given back: programs on
        control groups, key rings, and the right to load a module, so that a unit without it is
        refused for its own sake.
        """
        return [
            *(str(NSPAWN), "--quiet", f"--directory={self._room / 'root'}", "--boot"),
            *("--machine=box", "--register=no", "--keep-unit", "--console=pipe"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            f"--network-namespace-path={self._network.path}",
            *("--bind=/dev/net/tun", f"--bind={self._screen}:/dev/tty1"),
            "--capability=CAP_NET_ADMIN,CAP_BPF,CAP_SYS_MODULE",
            "--system-call-filter=bpf @keyring",
        ]

    def boot(self) -> None:
        """Start it, until its manager has done all it was to do. Raises Failed."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        words = [str(os.getpid()), str(self._lower), str(self._room), *self.arguments()]
        try:
            self._process = Process(
                Unit(
                    ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", _SHAPE, "boot", *words],
                    stdin=nothing,
                    environment={"PATH": _PATH, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                    output=self._room / "console.log",
                    last_signal=signal.SIGTERM,  # it then halts what it has started
                )
            )
        finally:
            os.close(nothing)
        end_s = time.monotonic() + BOOT_S
        while not self._is_up():
            if self._process.wait(0.05) or time.monotonic() > end_s:
                raise Failed(f"it does not boot: {self.console()}")

    def _is_up(self) -> bool:
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if Path(f"/proc/{pid}/comm").read_text().strip() != NSPAWN.name or not children:
            return False
        self.leader = int(children[0])
        return self.ask("systemctl", "is-system-running")[1].strip() in UP

    def console(self) -> str:
        """What nspawn has said."""
        return (self._room / "console.log").read_text(errors="replace")[-2000:]

    @property
    def root(self) -> Path:
        """Its root directory, while it runs."""
        return Path(f"/proc/{self.leader}/root")

    def ask(self, *argv: str, given: str = "", within_s: float = COMMAND_S) -> tuple[int, str, str]:
        """Run a command as its root, outside every unit; status, output and errors."""
        ran = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "env", "-i", *_ENVIRONMENT, *argv],
            input=given,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        return ran.returncode, ran.stdout, ran.stderr

    def run(self, *argv: str, given: str = "", within_s: float = COMMAND_S) -> str:
        """The same, and what it says. Raises Failed unless it ends well."""
        status, said, errors = self.ask(*argv, given=given, within_s=within_s)
        if status != 0:
            raise Failed(f"{' '.join(argv)}: {status}\n{said}{errors}")
        return said

    def write(self, path: str, text: str) -> None:
        """A file of root's, for all to read."""
        where = self.root / path.lstrip("/")
        where.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        where.write_text(text)

    # -- its manager and its journal ---------------------------------------------------------------

    def show(self, unit: str) -> dict[str, str]:
        """What systemctl(1) shows of a unit."""
        lines = self.run("systemctl", "show", unit).splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def pid(self, unit: str) -> int:
        """The main process of a service as we see it, 0 for none."""
        inside = self.show(unit)["MainPID"]
        return self._ours(int(inside)) if inside != "0" else 0

    def _ours(self, inside: int) -> int:
        """The pid here of one in there; 0 when it has gone."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                lines = status.read_text().splitlines()
                (numbers,) = (line.split()[1:] for line in lines if line.startswith("NSpid:"))
                if numbers[1:] == [str(inside)] and self.holds(status.parent):
                    return int(status.parent.name)
        return 0

    def holds(self, process: Path) -> bool:
        """Is this entry of our /proc one of its processes?"""
        ours = Path(f"/proc/{self.leader}/ns/pid")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return (process / "ns/pid").readlink() == ours.readlink()
        return False

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Entries since it was booted, oldest first."""
        self.run("journalctl", "--sync")
        said = self.run("journalctl", "--boot", "--output=json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in said.splitlines()]

    # -- its end -----------------------------------------------------------------------------------

    def halt(self) -> None:
        """Shut it down in good order. Raises Failed where it does not."""
        if self._process is not None:
            self._process.kill(signal.SIGTERM)  # nspawn hands it on
            ended = self._process.wait(HALT_S)
            self.kill()
            if not ended:
                raise Failed(f"it does not halt: {self.console()}")

    def kill(self) -> None:
        """As a cut of its power."""
        if self._process is not None:
            self._process.end()  # its first process would outlive nspawn
            self._process = None
            words = ["unshare", "--mount", "sh", "-c", _SWEEP, "sweep", str(os.getpid())]
            subprocess.run(words, capture_output=True, check=False, timeout=HALT_S)


_ENVIRONMENT: Final = (f"PATH={_PATH}", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
