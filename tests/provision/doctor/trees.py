"""A whole box that is fit, as files under one root; and the same, spoilt."""

import datetime as dt
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import override

from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.profile.usbrules import UsbRules
from sdbox_agent.provision.doctor import files, parts
from sdbox_agent.provision.doctor.files import USERS, Seen
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.parts import Node
from sdbox_agent.provision.doctor.places import USB_RULES
from sdbox_agent.state import record
from tests.certificates import make
from tests.fuzz.fuzz_profile import BOX, KIND, LAN, PROFILE, SENSOR

NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
BEGINS = NOW - dt.timedelta(days=10)
RELEASE = "6.1.0-32-amd64"
SEEN_UTC_S = int(NOW.timestamp()) - 60
DEVICES = (("1-1", "08e6", "4433", 2), ("1-2", "04f3", "0c26", 3), ("usb1", "1d6b", "0002", 1))
TEXTS = {
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n",
    "proc/cmdline": "root=/dev/mapper/root quiet nohibernate init_on_free=1\n",
    "proc/sys/kernel/core_pattern": "|/bin/false\n",
    "proc/sys/kernel/osrelease": f"{RELEASE}\n",
    "proc/1/limits": "",
    "proc/self/mountinfo": "22 1 253:0 / / rw - ext4 /dev/mapper/root rw\n",
    "sys/power/state": "freeze mem\n",
    "sys/dev/block/253:0/dm/uuid": "LVM-abc\n",
    "sys/dev/block/253:0/slaves/dm-1/dm/uuid": "CRYPT-LUKS2-0123-x\n",
    "sys/class/misc/tun/uevent": "MAJOR=10\n",
    "sys/class/tpm/tpm0/tpm_version_major": "2\n",
    f"lib/modules/{RELEASE}/modules.dep": "kernel/drivers/net/wireguard/wireguard.ko: x\n",
    "etc/fstab": "/dev/mapper/root / ext4 defaults 0 1\n",
    "etc/systemd/journald.conf": "[Journal]\n#SystemMaxUse=\n",
    "usr/lib/systemd/journald.conf.d/40-size.conf": "[Journal]\nSystemMaxUse=99G\n",
    "etc/systemd/journald.conf.d/40-size.conf": "[Journal]\nSystemMaxUse=500M\n",
    "etc/systemd/journald.conf.d/50-note.txt": "[Journal]\nSystemMaxUse=77G\n",
    "etc/passwd": "".join(f"{name}:x:{n}:{n}::/:/bin/false\n" for name, n in files.USERS.items()),
    "etc/group": "sdbox-peers:x:61005:\n",
    "usr/lib/sdbox-agent/x.py": "",
}


@dataclass(frozen=True, slots=True)
class Owned(Look):
    """Nobody but root can give files away: each that is there is shown as its owner's."""

    @override
    def files(self) -> tuple[Seen, ...]:
        return tuple(
            replace(each, owner=files._rule(each.path).owners[0])
            if each.owner == os.getuid()
            else each
            for each in Look.files(self)
        )

    @override
    def nodes(self, names: tuple[str, ...]) -> tuple[Node, ...]:
        found = Look.nodes(self, names)
        return tuple(replace(each, owner=USERS["sdbox-finger"]) for each in found)


def grow(root: Path) -> Look:
    """A fit box under `root`, activated, not running."""
    for name, text in TEXTS.items():
        write(root / name, text.encode())
    _config(root / "etc/sdbox")
    _units(root)
    found = load.whole("x", Paths(root), root)
    rules = UsbRules(found.profile, found.sensor)
    write(root / USB_RULES, rules.text.encode())
    for name, vendor, product, number in DEVICES:
        device = root / "sys/bus/usb/devices" / name
        facts = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": f"{number}"}
        for fact, value in facts.items():
            write(device / fact, f"{value}\n".encode())
        write(root / f"dev/bus/usb/001/{number:03}", b"")
        (root / f"dev/bus/usb/001/{number:03}").chmod(0o600)
    (root / "sys/bus/usb/devices/1-1:1.0").mkdir()  # an interface has no ids
    state = root / "var/lib/sdbox"
    write(state / "state.json", record.encode(record.State(clock_utc_s=SEEN_UTC_S)))
    write(state / "audit.jsonl", b"")
    for private in (root / "etc/sdbox/identity", state):
        private.chmod(0o700)
        for each in private.iterdir():
            each.chmod(0o600)
    return Owned(root, live=False)


def spoil(root: Path, name: str, text: str | None) -> None:
    """Another text, or none: then the file or directory is gone."""
    path = root / name
    if text is not None:
        write(path, text.encode())
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def write(path: Path, data: bytes) -> None:
    """Mode as root's umask leaves it, whatever ours is."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)
    path.write_bytes(data)
    path.chmod(0o644)


def _config(config: Path) -> None:
    write(config / "box.toml", BOX.replace(b'"virtual"', b'"x"') + LAN)
    write(config / "profiles/x.toml", PROFILE)
    write(config / "profiles/sensors/elan.toml", SENSOR)
    write(config / "profile.d/50-tpm.toml", b'[tpm]\nversion = "2.0"\n')
    write(config / "profiles/cards/piv-pin.toml", KIND)
    for name in ("centre", "cards", "desk"):
        write(config / f"anchors/{name}.pem", make(name, BEGINS, 3650).pem)
    for name in ("tls", "statement"):
        write(config / f"identity/{name}.pem", make(name, BEGINS, 365).pem)
        write(config / f"identity/{name}.key", b"a key")


def _units(root: Path) -> None:
    units = root / "usr/lib/systemd/system"
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True)
    for name in (*parts.UNITS, *parts.NEEDED):
        write(units / name, b"[Unit]\n")
    for name in parts.STARTED_AT_BOOT:
        (wanted / name).symlink_to(f"/usr/lib/systemd/system/{name}")
