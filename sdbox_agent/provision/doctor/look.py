"""[door] What doctor reads of the machine: files under one root, and the kernel's own.

Judges nothing and changes nothing. Raises OSError (what can't be read is not fine), and
FileNotFoundError only where that is said.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import subprocess
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sdbox_agent.profile import usbdevices
from sdbox_agent.provision import networksheet
from sdbox_agent.provision.doctor.disk import Room
from sdbox_agent.provision.doctor.files import Seen
from sdbox_agent.provision.doctor.parts import Node
from sdbox_agent.tunnel.guard import Guard
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.nfset import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.profile.usbdevices import UsbDevice
    from sdbox_agent.tunnel.standing import Standing

NFT: Final = "/usr/sbin/nft"
NFT_S: Final = 10.0
MAX_NAMES: Final = 50_000
MAX_DEPTH: Final = 8  # LVM on LUKS on RAID is three
MAX_WAYS: Final = 64

_PIECE_BYTES: Final = 64 << 10
_PIECES: Final = 64  # modules.dep of Debian's kernel: 0.6 MB
_HERE: Final = Path("/")
_NOWHERE: Final = Path("/dev/null")
_STA_UNSYNC: Final = 0x0040  # <linux/timex.h>
_TIMEX_BYTES: Final = 208  # struct timex: <sys/timex.h>, on 64 bits
_STATUS_AT: Final = 40
_PROGRAMME: Final = "usr/lib/sdbox-agent"
_FIXED: Final = ("etc/sdbox", "var/lib/sdbox", _PROGRAMME)


@dataclass(frozen=True, slots=True)
class Look:
    """Eyes on one root. `live`: the machine we run on is the box, and its kernel may be asked."""

    root: Path
    live: bool

    @property
    def kernel(self) -> Path:
        """Where /proc, /sys and /dev lie."""
        return _HERE if self.live else self.root

    def at(self, name: str) -> Path:
        """Where that is. Raises OSError if a link on the way leads out of a root not ours."""
        return _within(self.root / name, self.root)

    def text(self, name: str) -> str:
        """A file under the root; what is no UTF-8 in it is replaced. Raises FileNotFoundError."""
        return _text(self.root / name, self.root)

    def text_if(self, name: str) -> str:
        """The same, and empty where there is none."""
        return _text_if(self.root / name, self.root)

    def kernels(self, name: str) -> str:
        """A file of the kernel's, under /proc or /sys. Raises FileNotFoundError."""
        return _text(self.kernel / name, self.kernel)

    def kernels_if(self, name: str) -> str:
        """The same, and empty where there is none."""
        return _text_if(self.kernel / name, self.kernel)

    def is_there(self, name: str) -> bool:
        """Is there such a name under the root, whatever it is?"""
        return os.path.lexists(self.at(name))

    def names(self, directory: str) -> tuple[str, ...]:
        """What a directory under the root holds; nothing where there is none."""
        return _names(self.root / directory, self.root)

    def drop_ins(self, name: str) -> tuple[str, ...]:
        """The texts of systemd's `name` and its drop-ins, the last word last (systemd.unit(5)).

        Of drop-ins of one name the one of the first directory stands for all.
        """
        places = [f"{place}/systemd" for place in ("etc", "run", "usr/local/lib", "usr/lib")]
        found: dict[str, str] = {}
        for place in reversed(places):
            within = f"{place}/{name}.d"
            found |= {each: f"{within}/{each}" for each in self.names(within)}
        first = next(
            (f"{place}/{name}" for place in places if self.is_there(f"{place}/{name}")), ""
        )
        chosen = [first] if first else []
        chosen += [found[each] for each in sorted(found) if each.endswith(".conf")]
        return tuple(self.text_if(each) for each in chosen)

    def files(self) -> tuple[Seen, ...]:
        """Everything of ours on the disk, without following a link. At most 50,000 names."""
        seen: list[Seen] = []
        for fixed in _FIXED:
            self.at(fixed)
        waiting = [*reversed(_FIXED)]
        while waiting:
            name = waiting.pop()
            path = self.root / name
            try:
                status = path.lstat()
            except FileNotFoundError:  # what is being written has another name a moment later
                continue
            if len(seen) == MAX_NAMES:
                raise OSError(errno.EFBIG, "too many names", name)
            seen.append(Seen(name, status.st_mode, status.st_uid))
            if stat.S_ISDIR(status.st_mode):
                waiting += [f"{name}/{each}" for each in reversed(_names(path))]
        return tuple(seen)

    def room(self, directory: str, record: str) -> Room:
        """Of the file system that `directory` lies in, or would; and how long `record` is."""
        at = self.at(directory)
        while not at.exists() and at != self.root:
            at = at.parent
        found = os.statvfs(at)
        try:
            record_bytes = (self.root / directory / record).lstat().st_size
        except FileNotFoundError:
            record_bytes = 0
        free = found.f_bavail * found.f_frsize
        return Room(free, found.f_favail, found.f_files, record_bytes)

    def mapped(self, major: int, minor: int, source: str) -> tuple[tuple[str, ...], ...]:
        """What a block device rests on: a row for each way down, of the device mapper's names."""
        sys = self.kernel / "sys"
        device = sys / f"dev/block/{major}:{minor}"
        if not _within(device, self.kernel).exists():  # btrfs: a number of its own, and its path
            name, blocks = Path(source).name, sys / "block"
            mapped = [
                each
                for each in _names(blocks, self.kernel)
                if _text_if(blocks / each / "dm/name", self.kernel).strip() == name
            ]
            device = sys / "class/block" / (mapped[0] if mapped else name)
        return tuple(islice(_ways_down(device, self.kernel, 0), MAX_WAYS))

    def usb(self) -> tuple[UsbDevice, ...]:
        """What is plugged in, in the order of the ports."""
        return usbdevices.plugged(_Kernels(self.kernel))

    def usb_closed(self) -> bool:
        """Do the controllers let in nothing by themselves?"""
        return usbdevices.closed(_Kernels(self.kernel))

    def nodes(self, names: tuple[str, ...]) -> tuple[Node, ...]:
        """Device nodes, by their path below the root of the kernel's. Raises OSError."""
        statuses = ((name, _within(self.kernel / name, self.kernel).lstat()) for name in names)
        return tuple(Node(name, stat.S_IMODE(s.st_mode), s.st_uid) for name, s in statuses)

    def masked(self, directory: str) -> tuple[str, ...]:
        """The units that are masked there: links to nowhere (systemd.unit(5))."""
        place = self.root / directory
        return tuple(
            name
            for name in _names(place, self.root)
            if (place / name).is_symlink() and (place / name).readlink() == _NOWHERE
        )

    def is_socket(self, path: Path) -> bool:
        """Is there a socket of that name?"""
        return path.is_socket() and not path.is_symlink()

    def may_ask_about_walls(self) -> bool:
        """Only root, and only on the machine itself."""
        return self.live and os.geteuid() == 0

    def rules(self) -> networksheet.Loaded | None:
        """The walls that stand, by nft; None where none do, or nft is not there."""
        return rules()

    def standing(self) -> Standing | None:
        """The walls that stand, by the kernel's own word. Raises Fault, OSError."""
        guard = Guard()
        try:
            return guard.look()
        finally:
            guard.close()

    def devices(self) -> tuple[str, ...]:
        """The network devices of this namespace."""
        links = Links.here()
        try:
            return tuple(link.name for link in links.all())
        finally:
            links.close()

    def synchronised(self) -> bool | None:
        """Does the kernel hold its clock for synchronised (adjtimex(2))? None: not asked."""
        if not self.live:
            return None
        state = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: nothing is set
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.adjtimex(state) < 0:
            return None
        status = int.from_bytes(state.raw[_STATUS_AT : _STATUS_AT + 4], "little")
        return not status & _STA_UNSYNC


@dataclass(frozen=True, slots=True)
class _Kernels:
    """See usbdevices.Eyes: no link leads out of a root that is not ours."""

    root: Path

    def names(self, directory: str) -> tuple[str, ...]:
        return _names(self.root / directory, self.root)

    def data(self, name: str) -> bytes:
        return _data_if(self.root / name, self.root)


def rules() -> networksheet.Loaded | None:
    """What nft lists of our table here; None where it has none, or there is no nft.

    Raises DecodeError, OSError.
    """
    try:
        with subprocess.Popen(  # noqa: S603  a fixed command
            [NFT, "-j", "list", "table", "inet", TABLE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                listed, _ = process.communicate(timeout=NFT_S)
            except subprocess.TimeoutExpired:
                raise TimeoutError(errno.ETIMEDOUT, "no answer", NFT) from None
            finally:
                process.kill()  # if it hangs
    except FileNotFoundError:
        return None
    return networksheet.read(listed) if process.returncode == 0 else None


def _within(path: Path, root: Path) -> Path:
    """`path`, if no link on the way to it leads out of a root that is not ours. Raises OSError."""
    if root != _HERE:
        there = Path(os.path.realpath(path.parent))
        if not there.is_relative_to(os.path.realpath(root)):
            raise OSError(errno.ELOOP, "a link leads out of the root", str(path.parent))
    return path


def _data(path: Path, root: Path) -> bytes:
    """Of a root that is not ours no link is followed: it could lead into ours."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if root != _HERE:
        flags |= os.O_NOFOLLOW
        mode = _within(path, root).lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):  # to open a device is to use it
            raise OSError(errno.EINVAL, "not a file", str(path))
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb", buffering=0) as file:  # /proc/sys refuses to fill 4 MB
        pieces = iter(lambda: file.read(_PIECE_BYTES), b"")
        return b"".join(islice(pieces, _PIECES))


def _data_if(path: Path, root: Path) -> bytes:
    try:
        return _data(path, root)
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _text(path: Path, root: Path = _HERE) -> str:
    return _data(path, root).decode("utf-8", "replace")


def _text_if(path: Path, root: Path = _HERE) -> str:
    return _data_if(path, root).decode("utf-8", "replace")


def _names(directory: Path, root: Path = _HERE) -> tuple[str, ...]:
    _within(directory / "x", root)
    try:
        return tuple(sorted(each.name for each in directory.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def _ways_down(device: Path, root: Path, depth: int) -> Iterator[tuple[str, ...]]:
    """To each device at the bottom, and no deeper than MAX_DEPTH."""
    uuid = _text_if(device / "dm/uuid", root).strip()
    own = (uuid,) if uuid else ()
    below = _names(device / "slaves", root) if depth < MAX_DEPTH else ()
    for name in below:
        for way in _ways_down(device / "slaves" / name, root, depth + 1):
            yield own + way
    if not below:
        yield own
