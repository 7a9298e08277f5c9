"""Processes as units: who they are, what they get, and that they die with the rig."""

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hil.net import linux
from hil.net.process import Process, Unit
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig

PYTHON = "/usr/bin/python3"


def output_of(unit: Unit) -> str:
    assert unit.output is not None
    process = Process(unit)
    assert process.wait(PATIENCE_S)
    process.end()
    return unit.output.read_text()


def test_one_that_has_ended_by_itself_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        output_of(Unit([PYTHON, "-c", ""], output=tmp_path / "out"))
    process = Process(Unit([PYTHON, "-c", ""], output=tmp_path / "out"))
    process.end()
    process.end()
    process.kill()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_unit_is_its_user_with_its_capabilities_and_no_more(tmp_path: Path) -> None:
    script = "print(open('/proc/self/status').read())"
    unit = Unit(
        [PYTHON, "-c", script],
        uid=61004,
        capabilities=(linux.CAP_NET_ADMIN,),
        output=tmp_path / "out",
        directory=Path("/"),
    )
    lines = output_of(unit).splitlines()
    assert "Uid:\t61004\t61004\t61004\t61004" in lines
    assert "Gid:\t61004\t61004\t61004\t61004" in lines
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{name}:\t0000000000001000" in lines
    assert "NoNewPrivs:\t1" in lines


def test_a_unit_gets_its_sockets_in_order_and_no_other_descriptor(tmp_path: Path) -> None:
    script = (
        "import os,socket\n"
        "assert os.environ['LISTEN_PID']==str(os.getpid())\n"
        "n=int(os.environ['LISTEN_FDS'])\n"
        "print([socket.socket(fileno=3+i).type for i in range(n)])\n"
        "print(sorted(os.listdir('/proc/self/fd'),key=int)[3:])"
    )
    one, two = (socket.socket(socket.AF_UNIX, kind) for kind in (1, 2))
    with one, two:
        unit = Unit(
            [PYTHON, "-c", script], listen=[two.fileno(), one.fileno()], output=tmp_path / "out"
        )
        first, rest = output_of(unit).splitlines()
    assert first == "[<SocketKind.SOCK_DGRAM: 2>, <SocketKind.SOCK_STREAM: 1>]"
    assert rest == "['3']"  # the listing's own: both sockets were closed by then


def test_a_unit_sees_its_own_directory_where_it_is_bound(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    unit = Unit(
        ["/bin/ls", "/run/wireguard"],
        binds={Path("/run/wireguard"): tmp_path / "mine"},
        output=tmp_path / "out",
    )
    assert output_of(unit) == "file\n"
    assert not Path("/run/wireguard/file").exists()


def test_a_unit_that_cant_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        Process(Unit(["/nonexistent"]))


def test_a_unit_dies_with_its_rig() -> None:
    script = (
        "import time\nfrom hil.net.process import Process, Unit\n"
        "print(Process(Unit(['/bin/sleep', '60'], uid=61004)).pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as rig:
        assert rig.stdout is not None
        unit = os.pidfd_open(int(rig.stdout.readline()))
        rig.send_signal(signal.SIGKILL)
    assert select.select([unit], [], [], PATIENCE_S)[0], "the unit lives on"
    os.close(unit)
