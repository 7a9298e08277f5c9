"""[door] One box in QEMU: its cable, its USB ports, a root shell in it, its memory from outside.

QEMU stands in the rig's network namespace of the box, where a bridge joins the machine's network
card to the cable that leads to the centre. It dies with this process.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from hil import scratch
from hil.net.process import Process, Unit
from hil.net.topology import BOX4, BOX6, UPLINK
from hil.vm.box.qmp import Monitor
from hil.vm.box.reader import Reader
from hil.vm.machine import CPU, QEMU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from hil.net.namespace import Namespace
    from hil.vm.image import Image

MEMORY_MB: Final = 640
MAC: Final = "52:54:00:5d:b0:01"  # rig/etc/systemd/network/10-uplink.link
XHCI: Final = "xhci.0"
READER: Final = "ccid"
STICK_BYTES: Final = 8 * 1024 * 1024
SHELL_S: Final = 600.0
BOOT_S: Final = 600.0
_TAP, _BRIDGE = "machine", "bridge"
_CLOCK: Final = "shift=1"  # 2 ns an instruction; while it waits, the host's time
# init_on_free: what `doctor` asks of a box. The rig's file makes it a box, then starts systemd.
_KERNEL: Final = "root=/dev/vda rw console=ttyS0 panic=-1 init_on_free=1 quiet"
_INIT: Final = "init=/usr/local/sbin/rig-init"
_LOOK_AGAIN_S: Final = 0.05
PORT: Final = "/dev/virtio-ports/sdbox.finger"
SENSOR: Final = "/run/rig-sensor/image.sock"  # where libfprint listens while its device is open
PORT_BYTES: Final = 4 * 1024 * 1024  # more than its queue holds
_IMAGE: Final = struct.Struct("=ii")  # virtual-image.c: width, height; then the pixels


class ShellFailed(Exception):  # noqa: N818  told with what it said
    """A script in the machine ended with another status than 0."""


@dataclass(frozen=True)
class Said:
    """How a script in the machine ended."""

    status: int
    text: str


class Guest:
    """From `with` to its end: started, and its shell answers."""

    def __init__(self, image: Image, seed: Path, network: Namespace) -> None:
        """`network`: the box's namespace, as `Topology` leaves it."""
        self._image, self._seed, self._network = image, seed, network
        self._stack = contextlib.ExitStack()
        self.reader: Reader | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.room = scratch.made("vm")
            stack.callback(shutil.rmtree, self.room, ignore_errors=True)
            self._cable()
            self.started_s = time.monotonic()
            with open(os.devnull, "rb") as nothing:  # noqa: PTH123  a device
                unit = Unit(
                    self._arguments(),
                    network=self._network,
                    stdin=nothing.fileno(),
                    output=self.room / "console",
                )
                self._process = Process(unit)
            stack.callback(self._process.end)
            self.monitor = Monitor(self._listening("qmp"))
            stack.callback(self.monitor.close)
            self._shell = self._connected("shell")
            stack.callback(self._shell.close)
            self._finger = self._connected("finger")
            stack.callback(self._finger.close)
            stack.callback(self._let_go)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    # -- inside ------------------------------------------------------------------------------------

    def said(self, script: str, within_s: float = SHELL_S) -> Said:
        """What root's shell says to a script. Raises TimeoutError, EOFError."""
        self._shell.settimeout(within_s)
        self._shell.sendall(base64.b64encode(script.encode()) + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            line += self._some(1)
        status, size = map(int, line.split())
        text = b""
        while len(text) < size:
            text += self._some(size - len(text))
        return Said(status, text.decode(errors="replace"))

    def run(self, script: str, within_s: float = SHELL_S) -> str:
        """The same, of one that must succeed. Raises ShellFailed."""
        said = self.said(script, within_s)
        if said.status:
            raise ShellFailed(f"{script}: {said.status}\n{said.text}")
        return said.text

    def lay(self, pixels: NDArray[np.uint8]) -> None:
        """An image, as libfprint's virtual sensor takes it, to where that listens."""
        height, width = pixels.shape
        image = _IMAGE.pack(width, height) + pixels.tobytes()
        self.run(f"until test -S {SENSOR}; do sleep 0.2; done")
        self._hand(image, f"socat -u - UNIX-CONNECT:{SENSOR}")

    def type_pin(self, digits: str) -> None:
        """At the prompt. Raises ShellFailed if the card does not take it."""
        self._hand(digits.encode() + b"\n", "sdbox-agent pin --stdin")

    def plant(self, data: bytes) -> None:
        """In a file that lies in its memory alone."""
        self._hand(data, "cat >/run/rig/planted")

    def wash(self) -> None:
        """The port's own buffers: the rig's driver gives them back to QEMU as they are."""
        self._hand(bytes(PORT_BYTES), "cat >/run/rig/washed; rm /run/rig/washed")

    def _hand(self, data: bytes, to: str) -> None:
        """What must be in no script of the shell's, to a command's standard input."""
        sender = threading.Thread(target=self._finger.sendall, args=(data,))
        sender.start()  # no more fits than the machine takes
        self.run(f"set -o pipefail; head --bytes={len(data)} {PORT} | {to}")
        sender.join()

    # -- from outside ------------------------------------------------------------------------------

    def plug(self, driver: str, name: str, **properties: object) -> None:
        """A USB device, at the monitor. Raises Refused."""
        properties.setdefault("bus", XHCI)
        self.monitor.do("device_add", driver=driver, id=name, **properties)

    @contextlib.contextmanager
    def plugged(self, driver: str, name: str, **properties: object) -> Iterator[None]:
        """The same, until the end of the `with`."""
        self.plug(driver, name, **properties)
        try:
            yield
        finally:
            self.pull(name)

    def pull(self, name: str) -> None:
        """That device, out again."""
        self.monitor.do("device_del", id=name)

    def plug_reader(self) -> Reader:
        """A CCID reader with a slot for a virtual card."""
        self.plug("usb-ccid", READER, port="2")
        self.plug("ccid-card-passthru", f"{READER}-slot", bus=f"{READER}.0", chardev=READER)
        self.reader = Reader(self.room / READER)
        self.reader.plug()
        return self.reader

    def pull_reader(self) -> None:
        """With the card in it, if there is one."""
        self.pull(READER)
        self._let_go()

    def _let_go(self) -> None:
        if self.reader is not None:
            reader, self.reader = self.reader, None
            reader.close()

    def memory(self) -> Path:
        """Everything in its memory, at this moment: an ELF core in a file of `room`."""
        path = self.room / "memory"
        self.monitor.do("stop")
        self.monitor.do("dump-guest-memory", paging=False, protocol=f"file:{path}")
        self.monitor.do("cont")
        return path

    @property
    def console(self) -> str:
        """What the kernel has said."""
        return (self.room / "console").read_text(errors="replace")

    # -- how it is started -------------------------------------------------------------------------

    def _arguments(self) -> list[str]:
        ports = [
            *("-chardev", f"socket,id={READER},path={self.room}/{READER},server=on,wait=off"),
            *("-qmp", f"unix:{self.room}/qmp,server=on,wait=off"),
            *("-device", "virtio-serial"),
        ]
        for name in ("shell", "finger"):
            ports += ["-chardev", f"socket,id={name},path={self.room}/{name},server=on,wait=off"]
            ports += ["-device", f"virtserialport,chardev={name},name=sdbox.{name}"]
        stick = self.room / "stick"
        stick.touch()
        os.truncate(stick, STICK_BYTES)
        disks = [
            word
            for path in (self._image.disk, self._seed)
            for word in ("-drive", f"file={path},format=raw,if=virtio,snapshot=on")
        ]
        return [
            str(QEMU),
            *("-accel", "tcg,thread=single", "-cpu", CPU, "-smp", "1", "-machine", "q35"),
            *("-icount", _CLOCK, "-m", str(MEMORY_MB), "-nodefaults", "-display", "none"),
            *("-no-reboot", "-serial", "stdio"),
            *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
            *("-append", f"{_KERNEL} {_INIT}"),
            *disks,
            *("-netdev", f"tap,id=net,ifname={_TAP},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=net,mac={MAC}"),
            *("-device", "qemu-xhci,id=xhci,p2=8,p3=8"),
            # To be plugged in: a disk, silence, a network that leads nowhere, a line.
            *("-blockdev", f"driver=raw,node-name=stick,file.driver=file,file.filename={stick}"),
            *("-audiodev", "none,id=silence", "-netdev", "hubport,id=nowhere,hubid=9"),
            *("-chardev", "null,id=line"),
            # In its port from before the start: a keyboard beside the machine's own (PS/2).
            *("-device", f"usb-kbd,id=cold,bus={XHCI},port=8"),
            *ports,
        ]

    def _cable(self) -> None:
        """The machine's network card takes the box's end of the cable, and its addresses."""
        self._network.ip(
            f"addr del {BOX4}/24 dev {UPLINK}",
            f"addr del {BOX6}/64 dev {UPLINK}",
            f"link add {_BRIDGE} type bridge",
            f"link set {UPLINK} master {_BRIDGE}",
            f"tuntap add {_TAP} mode tap",
            f"link set {_TAP} master {_BRIDGE}",
            f"link set {_TAP} up",
            f"link set {_BRIDGE} up",
        )

    def _listening(self, name: str) -> Path:
        path = self.room / name
        deadline = time.monotonic() + SHELL_S
        while time.monotonic() < deadline and not self._process.wait(0):
            if path.exists():
                return path
            time.sleep(_LOOK_AGAIN_S)
        raise RuntimeError(f"QEMU has not started:\n{self.console[-2000:]}")

    def _connected(self, name: str) -> socket.socket:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.connect(str(self._listening(name)))
        return found

    def _some(self, most: int) -> bytes:
        part = self._shell.recv(most)
        if not part:
            raise EOFError(f"the machine is off:\n{self.console[-2000:]}")
        return part
