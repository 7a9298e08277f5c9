"""What QEMU is told, what the machine leaves, and that QEMU dies with us. `make hil-vm` runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.vm import machine
from hil.vm.image import REPOSITORY, Image
from tests.waiting import until
from tests.workers.tunnel_parts import children_of

ARGUMENTS = machine.arguments(Image(Path("/image")), Path("/code"), Path("/result"))


def test_the_machine_has_no_network_and_keeps_nothing_but_its_result() -> None:
    assert ARGUMENTS[ARGUMENTS.index("-nic") + 1] == "none"
    drives = [ARGUMENTS[at + 1] for at, word in enumerate(ARGUMENTS) if word == "-drive"]
    assert [drive.split(",")[0] for drive in drives] == [
        "file=/image/root.ext4",
        "file=/code",
        "file=/result",
    ]
    assert ["snapshot=on" in drive for drive in drives] == [True, True, False]


def test_a_result_is_a_status_and_a_file() -> None:
    assert machine.read(b"0\n<xml/>\n" + bytes(9)) == machine.Result(0, b"<xml/>\n")
    assert machine.read(b"4\n" + bytes(9)) == machine.Result(4, b"")


@pytest.mark.parametrize("left", [bytes(9), b"", b"1", b"one\n", b"\n<xml/>"])
def test_a_machine_that_left_no_result_is_told(left: bytes) -> None:
    with pytest.raises(machine.NoResult):
        machine.read(left)


@pytest.mark.skipif(not machine.QEMU.exists(), reason="no QEMU here")
def test_qemu_dies_with_who_started_it_and_is_ended_when_late() -> None:
    paused = [str(machine.QEMU), "-S", "-nodefaults", "-display", "none"]
    with pytest.raises(machine.NoResult, match="not done"):
        machine._boot(paused, 0.2)
    script = f"from hil.vm import machine; machine._boot({paused!r}, 600)"
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY)
    (qemu,) = until(lambda: children_of(starter.pid))
    until(lambda: b"qemu" in Path(f"/proc/{qemu}/cmdline").read_bytes())
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    until(lambda: not Path(f"/proc/{qemu}").exists())
