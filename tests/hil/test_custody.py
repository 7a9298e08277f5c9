"""Whose bytes lie where: a known finger, a session at each level, and a search in all that is left.

The test knows image, minutiae, keys and PIN beforehand (tests/hil/needles.py). They may be in the
finger process of that transaction, and the probe on its way to a card that compares; the PIN on its
way to the card. pcscd is not ours: what it last sent or got lies in its buffers until something
longer follows, at most to the session's end.
"""

import contextlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hil.box import CARD_UID, CORE_UID, FINGER_UID, PROMPT_UID, TUNNEL_UID
from hil.centre import API_UID, GATEWAY_UID
from hil.desk import fingers_of
from hil.finger import sensor
from hil.issuing import Holder, reference_record
from sdbox_agent.biometrics import oncard
from sdbox_agent.sensor.detect import extract
from sdbox_agent.terms import Level
from sdbox_agent.tunnel import uapi
from sdbox_agent.tunnel.config import INTERFACE
from sdbox_agent.tunnel.psk import PSK_BYTES
from tests.hil import needles
from tests.hil.fault_bench import alive, children, name_of, stopped
from tests.hil.refusals import HERE, Bench
from tests.memory import PART_BYTES, Search, forms
from tests.waiting import until

pytestmark = pytest.mark.rig

FINGER = "sdbox-finger@"
BOX = (CORE_UID, CARD_UID, FINGER_UID, TUNNEL_UID, PROMPT_UID)
SHARED_PLACES = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
# Touches that no enrolment knows; each level has its own: a box takes no frame twice.
TOUCHES = {level: 4711 + number for number, level in enumerate(Level)}
KEEPER = """
import sys, time
text = sys.stdin.readline().strip()[::-1]
held = {kept}(int(text[at : at + 2], 16) for at in range(0, len(text), 2))
print(len(held), flush=True)
time.sleep(60)
"""


@dataclass(frozen=True, repr=False)
class Known:
    """A person, the touch that is coming, and how to know what must stay private."""

    holder: Holder
    pixels: np.ndarray
    search: Search
    secrets: dict[str, list[bytes]]


def prepare(rig, people) -> dict[Level, Known]:
    return {
        level: known(rig.enrol(f"test-holder-{level.value}", seed=1, level=level))
        for level in Level
    }


def known(holder: Holder) -> Known:
    touch = HERE.touch(HERE.positions[0], TOUCHES[holder.level], "good")
    pixels = np.ascontiguousarray(touch.pixels)
    probe = extract(pixels, sensor.kind().dpi)
    secrets = {"image": needles.image(pixels), "probe": needles.template(probe)}
    match holder.level:
        case Level.HOST_MATCH:
            reference = reference_record(HERE)
            secrets |= needles.content_keys(holder)
            secrets["reference"] = needles.record(reference)
            secrets["prepared reference"] = needles.views(reference)
        case Level.CARD_MATCH:
            stored = fingers_of(HERE)[0]
            secrets["compact probe"] = needles.compact(oncard.probe(probe, stored.bit))
            secrets["compact reference"] = needles.compact(stored.reference)
        case Level.CARD_PIN:
            secrets = {"PIN": needles.digits(holder.pin)}
    return Known(holder, pixels, Search(secrets), secrets)


def processes(bench: Bench) -> dict[str, int]:
    """Everything that lives on box and centre, by a name that tells what it is."""
    rig = bench.rig
    roots = [(unit, pid) for unit, seen in rig.box.units().items() for pid in seen.pids]
    roots += [("api", rig.centre.api.pid), ("gateway", rig.centre.gateway.pid)]
    named = {f"{name} {pid}": pid for name, pid in roots}
    below = {f"{name}: {name_of(pid)} {pid}": pid for name, top in roots for pid in children(top)}
    return named | below | {"launcher": rig.box.launcher_pid, "pcscd": rig.pcscd.pid}


def holders_of(search: Search, bench: Bench, *but: int) -> dict[str, set[str]]:
    """Who holds what, but for those processes."""
    held: dict[str, set[str]] = {}
    for name, pid in processes(bench).items():
        if pid in but:
            continue
        try:
            found = search.held(pid)
        except (ProcessLookupError, FileNotFoundError):
            assert not alive(pid), name
            continue
        if found:
            held[name] = found
    return held


def written(search: Search, bench: Bench) -> dict[str, set[str]]:
    """Which files hold what: state, runtime, all that was printed, the centre's store."""
    for log in ("sdbox-agent", "sdbox-card", FINGER, "sdbox-tunnel", "launcher"):
        assert (bench.rig.root / f"box/log/{log}.log").exists(), log
    mine = (*BOX, API_UID, GATEWAY_UID)
    stray: list[Path] = []
    for one in (one for place in SHARED_PLACES for one in place.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # somebody else's, gone since
            stray += [one] if one.lstat().st_uid in mine else []
    return search.on_disk(bench.rig.root, *stray)


def to_open(bench: Bench, who: Known) -> set[str]:
    """From the question for a finger to the open tunnel; what the finger process held meanwhile."""
    finger = bench.rig.box.pid(FINGER)
    held = who.search.held(finger)
    with stopped(bench.rig.centre.api.pid):  # no attempt is reserved, nothing compared
        bench.rig.operator.lay(who.pixels)
        with stopped(finger):
            held |= who.search.held(finger)
        bench.watch.state("reserving")
        held |= who.search.held(finger)
    assert bench.watch.state("open", "spent").state == "open"
    until(lambda: not alive(finger))
    return held


def left_nothing(bench: Bench, who: Known) -> None:
    """While it is open and after its end: in no process, in no file."""
    assert any("wireguard" in name for name in processes(bench)), "all that lives is looked at"
    assert holders_of(who.search, bench, bench.rig.pcscd.pid) == {}
    bench.leave()
    until(lambda: bool(bench.rig.box.units()[FINGER].pids))
    assert holders_of(who.search, bench) == {}
    assert written(who.search, bench) == {}


def test_host_match(bench: Bench, people: dict[Level, Known]) -> None:
    who = people[Level.HOST_MATCH]
    assert holders_of(who.search, bench) == {}
    assert bench.to_finger(who.holder).state == "scanning"
    finger, pcscd = bench.rig.box.pid(FINGER), bench.rig.pcscd.pid
    assert holders_of(who.search, bench, finger, pcscd) == {}
    held = to_open(bench, who)
    assert held >= {"image", "probe", "reference", "prepared reference"}, "where it is, it is found"
    left_nothing(bench, who)


def test_card_match(bench: Bench, people: dict[Level, Known]) -> None:
    who = people[Level.CARD_MATCH]
    assert bench.to_finger(who.holder).state == "scanning"
    held = to_open(bench, who)
    assert held == {"image", "probe", "compact probe"}, "the card's reference stays on the card"
    left_nothing(bench, who)


def test_card_pin(bench: Bench, people: dict[Level, Known]) -> None:
    who = people[Level.CARD_PIN]
    assert bench.to_person(who.holder).state == "pinentry"
    assert bench.rig.operator.pin(who.holder.pin) == 0
    bench.watch.state("codeentry")
    assert holders_of(who.search, bench, bench.rig.pcscd.pid) == {}
    bench.rig.operator.code(who.holder.device.code())
    assert bench.watch.state("open", "spent").state == "open"
    left_nothing(bench, who)


def test_the_preshared_key_of_a_tunnel(bench: Bench, people: dict[Level, Known]) -> None:
    """Where packets are encrypted with it: not even helper and gateway, which derived it, keep it.

    The gateway's wireguard-go may remember a peer that has left; it is not ours to wipe.
    """
    assert bench.enter(people[Level.HOST_MATCH].holder).state == "open"
    sockets = (
        bench.rig.box.paths.tunnel_runtime / f"{INTERFACE}.sock",
        bench.rig.centre.root / "gateway/run/wg-vm1.sock",
    )
    box, gateway = map(preshared_key, sockets)
    assert box == gateway != bytes(PSK_BYTES)
    search = Search({"preshared key": forms(box)})

    def encrypting_alone() -> bool:  # an interface that is asked answers with it: wiped when read
        held = holders_of(search, bench)
        return len(held) == 2 and all("wireguard-go" in name for name in held)

    until(encrypting_alone)
    assert written(search, bench) == {}
    bench.leave()
    assert all(name.startswith("gateway: wireguard-go") for name in holders_of(search, bench))


def preshared_key(path: Path) -> bytes:
    """As that interface has it, of its one peer."""
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(path))
        control.sendall(uapi.GET)
        text = b""
        while not text.endswith(b"\n\n"):
            text += control.recv(4096)
    (key,) = re.findall(rb"preshared_key=(\w+)", text)
    return bytes.fromhex(key.decode())


@pytest.mark.parametrize("level", list(Level))
def test_whoever_keeps_them_is_found(people: dict[Level, Known], level: Level, tmp_path) -> None:
    """The control: one secret at a time, in a process and in a file."""
    who = people[level]
    for name, shapes in who.secrets.items():
        kept = shapes[-1]
        for kind, told in (("bytes", kept), ("list", shapes[0])):
            with holding(told, kind) as pid:
                assert name in who.search.held(pid)
        (tmp_path / "kept").write_bytes(os.urandom(PART_BYTES - 3) + kept)
        assert name in who.search.on_disk(tmp_path)[str(tmp_path / "kept")]
    with holding(b"nothing of the kind") as pid:
        assert who.search.held(pid) == set()


@contextlib.contextmanager
def holding(secret: bytes, kind: str = "bytes") -> Iterator[int]:
    """A process that was told something, and does not forget it."""
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", KEEPER.format(kept=kind)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as keeper:
        assert keeper.stdin
        assert keeper.stdout
        try:
            # Told in digits backwards, lest these be what is found.
            keeper.stdin.write(secret.hex()[::-1].encode() + b"\n")
            keeper.stdin.flush()
            assert keeper.stdout.readline()
            yield keeper.pid
        finally:
            keeper.kill()


def test_nothing_of_it_can_go_where_the_kernel_would_put_it(bench: Bench) -> None:
    """No core dump whatever the pattern, no page in swap: of any process, while it lives."""
    no_swap = len(Path("/proc/swaps").read_text().splitlines()) == 1
    ours = {pid: name for name, pid in processes(bench).items() if name.startswith("sdbox-")}
    assert len(ours) >= 4, ours
    for pid, name in ours.items():
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), name
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0, f"dumpable: {name}"
        sizes = dict(re.findall(r"(Vm\w+):\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text()))
        assert sizes["VmSwap"] == "0", name
        assert no_swap or int(sizes["VmLck"]) > 0, name
