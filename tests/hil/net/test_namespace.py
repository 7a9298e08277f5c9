"""Namespaces of the rig: empty when made, gone when left, swept up when the rig was killed."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hil.net.namespace import NAMED, Claim
from hil.net.topology import BOX4, CENTRE4, UPLINK, Topology
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig


def test_a_new_namespace_holds_lo_and_any_user_may_open_it() -> None:
    claim = Claim()
    made = claim.namespace("one")
    assert made.links() == {"lo"}
    assert made.path.stat().st_mode & 0o004
    made.remove()
    assert not made.path.exists()
    claim.release()


def test_what_a_thread_opens_inside_stays_inside() -> None:
    with Topology() as topology, topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        home = os.readlink("/proc/thread-self/ns/net")
        sock.bind((BOX4, 9))
        with (
            topology.session.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
            pytest.raises(OSError, match="assign"),
        ):
            other.bind((BOX4, 9))
        assert os.readlink("/proc/thread-self/ns/net") == home
        with topology.box.entered():
            assert os.readlink("/proc/thread-self/ns/net") != home
        assert os.readlink("/proc/thread-self/ns/net") == home


def test_an_error_inside_is_raised_outside() -> None:
    with Topology() as topology, pytest.raises(ZeroDivisionError):
        topology.box.run(lambda: 1 // 0)


def test_the_cable_carries_and_the_session_has_none() -> None:
    with Topology(vms=2) as topology:
        assert topology.box.links() == {"lo", UPLINK}
        assert topology.session.links() == {"lo"}
        assert len(topology.vm) == 2
        with topology.centre.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind((CENTRE4, 9))
            server.settimeout(PATIENCE_S)
            with topology.box.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"hello", (CENTRE4, 9))
            assert server.recv(9) == b"hello"


def test_a_killed_rig_is_swept_up_by_the_next() -> None:
    script = "import time\nfrom hil.net.topology import Topology\n" + (
        "with Topology(): print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as rig:
        assert rig.stdout is not None
        assert rig.stdout.readline() == b"up\n"
        names = list(NAMED.glob(f"sdbx{rig.pid}.*"))
        assert len(names) == 4
        Claim().release()
        assert all(name.exists() for name in names)  # a living rig is left alone
        rig.send_signal(signal.SIGKILL)
    Claim().release()
    assert not any(name.exists() for name in names)
    assert not list(Path("/run/sdbox-rig").glob(f"{rig.pid}.*"))
