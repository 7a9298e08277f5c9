"""The launcher plays systemd: each process as its unit says, restarted, and gone at the end."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.box import CARD_UID, CORE_UID, FINGER_UID, TUNNEL_UID, WALLS_UID
from hil.rig import Rig
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.rig
NET_ADMIN = 1 << 12
UNITS = {
    "sdbox-agent": (CORE_UID, 0),
    "sdbox-card": (CARD_UID, 0),
    "sdbox-finger@": (FINGER_UID, 0),
    "sdbox-tunnel": (TUNNEL_UID, NET_ADMIN),
    "sdbox-walls": (WALLS_UID, NET_ADMIN),
}


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(readers=1) as one:
        one.start()
        until(lambda: all(one.box.units()[unit].pids for unit in UNITS))
        yield one


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


@pytest.mark.parametrize("unit", UNITS)
def test_each_process_has_its_unit_s_user_and_capabilities(rig: Rig, unit: str) -> None:
    uid, capabilities = UNITS[unit]
    seen = status(rig.box.pid(unit))
    assert seen["Uid"].split() == [str(uid)] * 4
    for name in ("CapEff", "CapPrm", "CapAmb"):
        assert int(seen[name], 16) == capabilities, name
    assert "0" not in seen["Groups"].split()


def test_each_is_in_the_network_its_unit_gives_it(rig: Rig) -> None:
    networks = {unit: os.stat(f"/proc/{rig.box.pid(unit)}/ns/net").st_ino for unit in UNITS}
    box = os.stat(rig.topology.box.path).st_ino
    assert networks["sdbox-agent"] == networks["sdbox-tunnel"] == box
    ours = os.stat("/proc/self/ns/net").st_ino
    for unit in ("sdbox-card", "sdbox-finger@"):
        assert networks[unit] not in {box, ours}, "a network of its own, with nothing in it"


def test_the_core_says_ready_and_what_it_does(rig: Rig) -> None:
    until(lambda: rig.box.units()["sdbox-agent"].status == "Waiting for a card.")
    core = rig.box.units()["sdbox-agent"]
    assert (core.ready, core.starts) == (True, 1)


def test_how_long_a_unit_took_to_be_ready_is_told_of_those_that_say_so(rig: Rig) -> None:
    seen = rig.box.units()
    for name in ("sdbox-agent", "sdbox-tunnel"):
        took_ms = seen[name].ready_ms
        assert took_ms is not None
        assert 10 < took_ms < PATIENCE_S * 1000
    assert seen["sdbox-card"].ready_ms is None


def test_who_asks_and_does_not_wait_for_the_answer_harms_nobody(rig: Rig) -> None:
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as manager:
            manager.connect(str(rig.root / "box/run/manager"))
            manager.send(b"units")
            manager.send(b"units")
            time.sleep(0.05)  # answered, and not read: its next recv(2) is told of a reset
    assert rig.box.units()["sdbox-agent"].starts == 1


@pytest.mark.parametrize("unit", ["sdbox-card", "sdbox-finger@", "sdbox-tunnel"])
def test_a_killed_worker_comes_back_by_itself(rig: Rig, unit: str) -> None:
    before = rig.box.units()[unit]
    os.kill(before.pids[-1], signal.SIGKILL)
    until(lambda: rig.box.units()[unit].pids not in ([], before.pids))
    assert rig.box.units()[unit].starts == before.starts + 1
    assert rig.box.units()["sdbox-agent"].starts == 1, "the core lives on"


def test_a_killed_core_comes_back_and_is_ready_again(rig: Rig) -> None:
    before = rig.box.pid("sdbox-agent")
    os.kill(before, signal.SIGKILL)
    until(lambda: rig.box.units()["sdbox-agent"].pids not in ([], [before]))
    rig.box.wait_ready()


def test_at_the_end_nothing_is_left(rig: Rig) -> None:
    pids = [pid for unit in rig.box.units().values() for pid in unit.pids]
    assert len(pids) >= len(UNITS)
    rig.box.stop()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
