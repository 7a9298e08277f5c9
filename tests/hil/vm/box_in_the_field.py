"""A box in a virtual machine, from outside: its USB ports, one session, and what is left in memory.

Not collected by itself: `python -m hil.vm` runs it, in this order, on one machine that is started
once. Card, finger, centre and gateway are the rig's and stand outside.
"""

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
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
from hil.vm.box.guest import BOOT_S, MEMORY_MB, Guest
from sdbox_agent import cli
from sdbox_agent.notify import Event
from sdbox_agent.paths import Paths
from sdbox_agent.sensor.detect import extract
from tests.hil import needles
from tests.memory import Search

BOX = "box-01"
TOUCH = 4711  # one that no enrolment knows
READER_ID, HUB_ID = "08e6:4433", "0409:55aa"
KINDS = ("block", "net", "input", "sound", "tty", "hidraw", "bluetooth", "video4linux")
SOON_S = 120.0
PART_BYTES = 4 << 20
OVERLAP_BYTES = 1 << 16  # of two parts: longer than any shape that is looked for

KEYBOARD = "keyboard"
# driver, what it needs, its id
FOREIGN = {
    "storage": ("usb-storage", {"drive": "stick"}, "46f4:0001"),
    KEYBOARD: ("usb-kbd", {}, "0627:0001"),
    "tablet": ("usb-wacom-tablet", {}, "056a:0000"),
    "sound": ("usb-audio", {"audiodev": "silence"}, "46f4:0002"),
    "network": ("usb-net", {"netdev": "nowhere"}, "0525:a4a2"),
    "serial": ("usb-serial", {"chardev": "line"}, "0403:6001"),
}

NODES = r"""look() { for port; do
    udevadm info --query=name --path="/sys/bus/usb/devices/$port" | sed s,^,/dev/, |
        xargs stat --format='%a %U %G'
done; }; look"""

LOOK = r"""
for path in /sys/bus/usb/devices/*; do
    [ -e "$path/idVendor" ] || continue
    read -r vendor <"$path/idVendor"; read -r product <"$path/idProduct"
    read -r let_in <"$path/authorized"
    shopt -s nullglob; faces=("$path"/*:*.*)
    echo "${path##*/} $vendor:$product $let_in ${#faces[@]}"
done
"""


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

    def passed_s(self) -> float:
        """Since QEMU was started."""
        return time.monotonic() - self.guest.started_s

    def status(self, *wanted: str, within_s: int = 90) -> str:
        """What `systemctl status` says of the core, as soon as it is one of these."""
        patterns = "|".join(f'"{one}"*' for one in wanted)
        said = self.guest.said(
            f"""
            for n in $(seq {within_s * 5}); do
                status=$(systemctl show --property=StatusText --value sdbox-agent)
                case "$status" in {patterns}) echo "$status"; exit 0;; esac
                sleep 0.2
            done
            echo "$status"; journalctl --no-pager --boot --lines=40 --output=cat; exit 1
            """,
            BOOT_S,
        )
        assert said.status == 0, said.text
        return said.text.strip()

    def since_start_s(self, moment: str) -> float:
        """When the core's unit came to that, on the kernel's clock."""
        words = f"--value --property={moment}TimestampMonotonic"
        return int(self.guest.run(f"systemctl show sdbox-agent {words}")) / 1e6

    def devices(self) -> dict[str, tuple[str, bool, int]]:
        """What is plugged in: its id, whether it is let in, how many interfaces it has."""
        lines = [line.split() for line in self.guest.run(LOOK).splitlines()]
        return {name: (usb_id, one == "1", int(faces)) for name, usb_id, one, faces in lines}

    def at(self, usb_id: str, there: bool = True) -> str:
        """The port where that id is, once udev has done with it ("": once it is gone)."""
        deadline = time.monotonic() + SOON_S
        while time.monotonic() < deadline:
            self.guest.run("udevadm settle")
            found = [name for name, (one, *_) in self.devices().items() if one == usb_id]
            if bool(found) == there:
                return found[-1] if found else ""
            time.sleep(0.2)
        raise TimeoutError(f"{usb_id}: {self.devices()}")

    def made(self) -> dict[str, list[str]]:
        """What the kernel has made of what is plugged in."""
        text = self.guest.run(
            f"for one in {' '.join(KINDS)}; do echo $one: $(ls /sys/class/$one 2>&-); done"
        )
        return {
            kind: names.split() for kind, _, names in (x.partition(":") for x in text.splitlines())
        }

    def records(self) -> list[dict[str, str]]:
        """What the journal has of refused devices."""
        text = self.guest.run(
            f"journalctl --quiet --boot MESSAGE_ID={Event.USB_REFUSED.value} --output=json"
        )
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def box() -> Iterator[Field]:
    image, root = disk.image(), scratch.made("vm")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root)
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
        guest = stack.enter_context(Guest(image, seed, topology.box))
        there = Field(guest, holder, *known(holder))
        try:
            yield there
        finally:
            for name, value in there.figures.items():
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
    sealed = issuing.enrol("test-holder-01", person, certificates)
    return Holder("test-holder-01", person, card, certificates, sealed, pin=pin)


def seeded(root: Path, made: Path) -> Path:
    """What the rig gives each box of its own, as this one wants it, and its rules for USB."""
    for name in ("etc", "var"):
        (made / name).rename(root / name)
    config = Paths(root).config
    settings = config / "box.toml"
    settings.write_text(settings.read_text().replace('"virtual"', '"virtual-machine"'))
    shutil.copy2(disk.HERE / "rig/etc/sdbox/profiles/virtual-machine.toml", config / "profiles")
    assert cli.main(["--root", str(root), "profile", "rules", "--install"]) == 0
    return root


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.3)


def test_it_starts_and_waits_for_a_card(box: Field) -> None:
    box.guest.run("true", BOOT_S)
    box.figures["start of QEMU to the first word, s of the host"] = box.passed_s()
    assert box.status("Waiting for a card.") == "Waiting for a card."
    box.figures["start of QEMU to 'insert your card', s of the host"] = box.passed_s()
    started_s, ready_s = box.since_start_s("ExecMainStart"), box.since_start_s("ActiveEnter")
    box.figures["the kernel's start to 'insert your card', s of the box"] = ready_s
    box.figures["systemctl start to READY, s of the box"] = ready_s - started_s
    box.guest.run("systemctl is-system-running --wait || true")
    assert box.guest.run("systemctl --failed --plain --no-legend") == ""


def test_what_the_rules_of_readers_go_by_is_set_by_udevs_own(box: Field) -> None:
    text = box.guest.run("cat /usr/lib/udev/rules.d/50-udev-default.rules")
    assert 'ENV{DEVTYPE}=="usb_device", IMPORT{builtin}="usb_id"' in text


def test_controllers_let_nothing_in_by_themselves(box: Field) -> None:
    hubs = box.guest.run("cat /sys/bus/usb/devices/usb*/authorized_default").split()
    assert set(hubs) == {"0"}
    assert len(hubs) == 2  # USB 2 and 3 of one controller


def test_what_was_plugged_in_before_the_start_is_refused_too(box: Field) -> None:
    port = box.at("0627:0001")
    assert box.devices()[port] == ("0627:0001", False, 0)
    (record,) = box.records()
    assert (record["SDBOX_USB_ID"], record["SDBOX_USB_PORT"]) == ("0627:0001", port)
    box.guest.pull("cold")
    box.at("0627:0001", there=False)


def test_foreign_devices_are_refused_and_recorded(box: Field) -> None:
    """All of them at once, and one behind a hub, which is let in itself."""
    made, told = box.made(), len(box.records())
    wanted = sorted([*(usb_id for *_, usb_id in FOREIGN.values()), FOREIGN[KEYBOARD][-1]])
    with contextlib.ExitStack() as plugged:
        plugged.enter_context(box.guest.plugged("usb-hub", "hub", port="3"))
        for name, (driver, needs, _) in FOREIGN.items():
            plugged.enter_context(box.guest.plugged(driver, name, **needs))
        hub = box.at(HUB_ID)
        box.guest.plug("usb-kbd", "behind", port="3.1")
        wait(lambda: len(box.records()) == told + len(wanted))
        seen = {port: one for port, one in box.devices().items() if not port.startswith("usb")}
        assert seen.pop(hub) == (HUB_ID, True, 1)
        assert sorted(usb_id for usb_id, *_ in seen.values()) == wanted
        assert {what[1:] for what in seen.values()} == {(False, 0)}, "no interface of any"
        assert f"{hub}.1" in seen
        assert box.made() == made
        records = box.records()[told:]
        assert {one["SDBOX_USB_PORT"]: one["SDBOX_USB_ID"] for one in records} == {
            port: usb_id for port, (usb_id, *_) in seen.items()
        }
        by = {(one["_UID"], one["_SYSTEMD_UNIT"], one["PRIORITY"]) for one in records}
        assert by == {("61001", "sdbox-agent.service", "5")}, "the core, as its own user"
        nodes = box.guest.run(f"{NODES} {' '.join(seen)}").splitlines()
        assert nodes == ["600 root root"] * len(seen)
    wait(lambda: all(port.startswith("usb") for port in box.devices()))


def test_the_kernel_would_have_made_a_disk_of_it(box: Field) -> None:
    """The control: authorised by hand, by root, the very stick that was refused is one."""
    made = box.made()
    driver, needs, usb_id = FOREIGN["storage"]
    with box.guest.plugged(driver, "control", **needs):
        port = box.at(usb_id)
        box.guest.run(f"echo 1 >/sys/bus/usb/devices/{port}/authorized")
        wait(lambda: len(box.made()["block"]) == len(made["block"]) + 1)
    wait(lambda: box.made() == made)


def test_a_reader_is_let_in_and_is_pcscds_alone(box: Field) -> None:
    box.guest.plug_reader()
    port = box.at(READER_ID)
    assert box.devices()[port][:2] == (READER_ID, True)
    node = box.guest.run("stat --dereference --format='%a %U %G' /dev/sdbox/reader")
    assert node.split() == ["600", "sdbox-pcscd", "root"]
    assert box.guest.run("systemctl is-active dev-sdbox-reader.device").strip() == "active"


def test_one_session_with_pin_and_finger(box: Field) -> None:
    guest, who = box.guest, box.holder
    guest.run(f"date --utc --set=@{time.time():.0f}")  # its clock was slower while it worked
    assert guest.reader
    guest.reader.insert(who.card)
    box.status("Waiting for the card's PIN.")
    guest.type_pin(who.pin)
    box.status("Waiting for a finger.")
    guest.lay(box.pixels)
    box.status("A session is open.", within_s=180)
    links = guest.run("ip -n sdbox-session -details -oneline link")
    assert "wireguard" in links, "the kernel's own"


def test_card_out_ends_it(box: Field) -> None:
    assert box.guest.reader
    box.guest.reader.remove()
    box.status("Waiting for a card.")
    assert box.guest.run("ip -n sdbox-session -oneline link | cut -d: -f2").split() == ["lo"]


def test_its_whole_memory_holds_nothing_of_it(box: Field) -> None:
    box.guest.wash()
    start_s = time.monotonic()
    path = box.guest.memory()
    box.figures["a dump, s of the host"] = time.monotonic() - start_s
    assert path.stat().st_size > MEMORY_MB << 20
    start_s = time.monotonic()
    assert found(box.search, path) == {}
    box.figures["the search in it, s of the host"] = time.monotonic() - start_s
    path.unlink()


def test_whatever_stays_behind_would_be_found(box: Field) -> None:
    """The control: a piece of each secret in a file that lies in its memory."""
    pieces = b"".join(b"\0" * 64 + shapes[0] for shapes in box.secrets.values())
    box.guest.plant(pieces)
    path = box.guest.memory()
    assert set(found(box.search, path)) == set(box.secrets)
    path.unlink()
    box.guest.run("rm /run/rig/planted")


def test_a_reader_that_is_pulled_takes_its_card_with_it(box: Field) -> None:
    assert box.guest.reader
    box.guest.reader.insert(box.holder.card)
    box.status("Waiting for the card's PIN.")
    box.guest.pull_reader()
    box.at(READER_ID, there=False)
    box.status("Waiting for a card.", "The session is over")
    assert box.guest.said("test -e /dev/sdbox/reader").status == 1
    box.guest.plug_reader()
    box.at(READER_ID)
    assert box.guest.reader
    box.guest.reader.insert(box.holder.card)
    box.status("Waiting for the card's PIN.")
    box.guest.pull_reader()


def found(search: Search, path: Path) -> dict[str, int]:
    """What a file holds of the secrets, and where first."""
    held: dict[str, int] = {}
    with path.open("rb") as file:
        end, at = b"", 0
        while part := file.read(PART_BYTES):
            for name in search.within(end + part):
                held.setdefault(name, at)
            end, at = part[-OVERLAP_BYTES:], at + len(part)
    return held
