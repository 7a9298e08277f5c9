"""The box in a virtual machine that box_in_the_field.py looks at. Not a module of tests.

hil.vm makes a plugin of it: its fixture is every such file's, one machine for all.
"""

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hil import scratch
from hil.box import Box
from hil.centre import PROJECTS, Centre
from hil.finger import Person, sensor
from hil.issuing import Holder, Issuing, reference_record
from hil.net.topology import Topology
from hil.vm.box import disk
from hil.vm.box.guest import BOOT_S, Guest
from sdbox_agent import cli
from sdbox_agent.notify import Event
from sdbox_agent.paths import Paths
from sdbox_agent.sensor.detect import extract
from tests.hil import needles
from tests.memory import Search

BOX = "box-01"
HOLDER = "test-holder-01"
READER_ID = "08e6:4433"  # what QEMU's usb-ccid says it is
TOUCH = 4711  # one that no enrolment knows
IDLE, OVER = "Waiting for a card.", "The session is over"
LOOKS = 120  # before something counts as never coming; each takes the box a moment
KINDS = ("block", "net", "input", "sound", "tty", "hidraw", "bluetooth", "video4linux")
PART_BYTES = 4 << 20
OVERLAP_BYTES = 1 << 16  # of two parts: longer than any shape that is looked for

# What is plugged in: port, id, whether it is let in, how many interfaces, who may use its node.
LOOK = r"""
shopt -s nullglob
for path in /sys/bus/usb/devices/*; do
    [ -e "$path/idVendor" ] || continue
    read -r vendor <"$path/idVendor"; read -r product <"$path/idProduct"
    read -r let_in <"$path/authorized"
    faces=("$path"/*:*.*); node=
    while IFS== read -r key value; do [ "$key" = DEVNAME ] && node=/dev/$value; done <"$path/uevent"
    echo "${path##*/} $vendor:$product $let_in ${#faces[@]} $(stat --format='%a:%U:%G' "$node")"
done
"""


@dataclass(frozen=True)
class Plugged:
    """One device, as the kernel and udev have left it."""

    usb_id: str
    let_in: bool
    interfaces: int
    node: str  # mode:owner:group


@dataclass
class Field:
    """One machine, its people, and what was measured."""

    guest: Guest
    holder: Holder
    pixels: np.ndarray = field(repr=False)
    secrets: dict[str, list[bytes]] = field(repr=False)
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.search = Search(self.secrets)

    # -- the core ----------------------------------------------------------------------------------

    def status(self, *wanted: str) -> str:
        """What `systemctl status` says of the core, as soon as it is one of these."""
        patterns = "|".join(f'"{one}"*' for one in wanted)
        over = "never" if IDLE in wanted else f'"{OVER}"*'  # nothing but that comes after it
        said = self.guest.said(
            f"""
            for n in $(seq {LOOKS}); do
                status=$(systemctl show --property=StatusText --value sdbox-agent)
                case "$status" in
                    {patterns}) echo "$status"; exit 0;;
                    {over}) break;;
                esac
                sleep 1
            done
            echo "$status"; journalctl --no-pager --boot --lines=60 --output=cat; exit 1
            """,
            BOOT_S,
        )
        assert said.status == 0, said.text
        return said.text.strip()

    def since_start_s(self, moment: str) -> float:
        """When the core's unit came to that, on the kernel's clock."""
        words = f"--value --property={moment}TimestampMonotonic"
        return int(self.guest.run(f"systemctl show sdbox-agent {words}")) / 1e6

    def records(self) -> list[dict[str, str]]:
        """What the journal has of refused devices."""
        text = self.guest.run(
            f"journalctl --quiet --boot MESSAGE_ID={Event.USB_REFUSED.value} --output=json"
        )
        return [json.loads(line) for line in text.splitlines()]

    def links(self) -> list[str]:
        """Network devices in the session's namespace, in ip(8)'s words."""
        return self.guest.run("ip -n sdbox-session -details -oneline link").splitlines()

    # -- its USB -----------------------------------------------------------------------------------

    def devices(self) -> dict[str, Plugged]:
        """What is plugged in, by port, but the controllers; udev has done with it."""
        rows = [line.split() for line in self.guest.run(f"udevadm settle\n{LOOK}").splitlines()]
        return {
            port: Plugged(usb_id, let_in == "1", int(faces), node)
            for port, usb_id, let_in, faces, node in rows
            if not port.startswith("usb")
        }

    def at(self, usb_id: str, there: bool = True) -> str:
        """The port where that id is ("": once it is gone)."""
        for _ in range(LOOKS):
            seen = self.devices()
            found = [port for port, one in seen.items() if one.usb_id == usb_id]
            if bool(found) == there:
                return found[-1] if found else ""
        raise TimeoutError(f"{usb_id}: {seen}")

    def made(self) -> dict[str, list[str]]:
        """What the kernel has made of what is plugged in."""
        text = self.guest.run(f"cd /sys/class; for one in {' '.join(KINDS)}; do echo $one/*; done")
        return {
            line.partition("/")[0]: sorted(line.split())
            for line in text.splitlines()
            if "*" not in line
        }

    # -- its memory --------------------------------------------------------------------------------

    def found(self) -> dict[str, int]:
        """What its memory holds of the secrets, at this moment, and where first."""
        start_s = time.monotonic()
        path = self.guest.memory()
        dumped_s = time.monotonic()
        held: dict[str, int] = {}
        with path.open("rb") as file:
            end, at = b"", 0
            while part := file.read(PART_BYTES):
                for name in self.search.within(end + part):
                    held.setdefault(name, at)
                end, at = part[-OVERLAP_BYTES:], at + len(part)
        path.unlink()
        self.figures["a dump, s of the host"] = dumped_s - start_s
        self.figures["a search in it, s of the host"] = time.monotonic() - dumped_s
        self.figures["a dump, MiB"] = at / (1 << 20)
        return held


@contextlib.contextmanager
def started() -> Iterator[Field]:
    """Network, centre, box: the machine is on, and nothing has been waited for."""
    image, root = disk.image(), scratch.made("vm")
    with contextlib.ExitStack() as stack:
        stack.callback(scratch.removed, root)
        topology = stack.enter_context(Topology(vms=len(PROJECTS)))
        for name in ("centre", "box", "seed"):
            (root / name).mkdir(mode=0o755)
        issuing = Issuing()
        centre = Centre(root / "centre", topology, issuing)
        made = Box(root / "box", BOX, topology, issuing, root / "unused")
        centre.add_box(BOX, made.tls, made.statement)
        holder = holder_with_pin(issuing)
        centre.add_holder(holder, (PROJECTS[0].name,))
        centre.start()
        stack.callback(centre.stop)
        seed = root / "seed.ext4"
        disk.seed(seeded(root / "seed", root / "box"), seed)
        known_of = known(holder)
        yield Field(stack.enter_context(Guest(image, seed, topology.box)), holder, *known_of)


@pytest.fixture(scope="session")
def there() -> Iterator[Field]:
    with started() as one:
        try:
            yield one
        finally:
            for name, value in one.figures.items():
                print(f"  {name}: {value:.1f}")  # noqa: T201


def known(holder: Holder) -> tuple[np.ndarray, dict[str, list[bytes]]]:
    """The touch that is coming, and everything by which it and the keys would be known."""
    touch = holder.person.touch(holder.person.positions[0], TOUCH, "good")
    pixels = np.ascontiguousarray(touch.pixels)
    reference = reference_record(holder.person)
    return pixels, {
        "image": needles.image(pixels),
        "probe": needles.template(extract(pixels, sensor.kind().dpi)),
        "reference": needles.record(reference),
        "prepared reference": needles.views(reference),
        "PIN": needles.digits(holder.pin),
        **needles.content_keys(holder),
    }


def holder_with_pin(issuing: Issuing) -> Holder:
    """At host-match, with a card that asks for its PIN: so image, keys and PIN are all there."""
    person, pin = Person(1), "".join(secrets.choice("0123456789") for _ in range(8))
    card, certificates = issuing.pin_card(pin)
    sealed = issuing.enrol(HOLDER, person, certificates)
    return Holder(HOLDER, person, card, certificates, sealed, pin=pin)


def seeded(root: Path, made: Path) -> Path:
    """What the rig gives each box of its own, as this one wants it, and its rules for USB."""
    for name in ("etc", "var"):
        (made / name).rename(root / name)
    config = Paths(root).config
    settings = config / "box.toml"
    settings.write_text(settings.read_text().replace('"virtual"', '"virtual-machine"'))
    shutil.copytree(disk.HERE / "rig/etc/sdbox/profiles", config / "profiles", dirs_exist_ok=True)
    assert cli.main(["--root", str(root), "profile", "rules", "--install"]) == 0
    return root
