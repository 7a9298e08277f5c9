"""The monitor's dialogue, with the real QEMU where there is one."""

import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from hil.vm.box.qmp import Monitor, Refused
from hil.vm.machine import QEMU
from tests.waiting import until


def test_events_are_read_past_and_a_hang_up_is_told(tmp_path: Path) -> None:
    """Of each command QEMU hears, what it says."""
    says = [[{"return": {}}], [{"event": "DEVICE_DELETED"}, {"return": {"done": True}}]]
    heard = []

    def serve() -> None:
        wire, _ = listener.accept()
        with wire, wire.makefile("rwb") as lines:
            lines.write(b'{"QMP": {}}\n')
            for answers in says:
                lines.flush()
                heard.append(json.loads(lines.readline()))
                for answer in answers:
                    lines.write(json.dumps(answer).encode() + b"\n")

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(tmp_path / "qmp"))
        listener.listen(1)
        thread = threading.Thread(target=serve)
        thread.start()
        monitor = Monitor(tmp_path / "qmp")
        assert monitor.do("device_del", id="x", some_thing=1) == {"done": True}
        thread.join()
        with pytest.raises((EOFError, OSError)):
            monitor.do("stop")
        monitor.close()
    assert heard[1] == {"execute": "device_del", "arguments": {"id": "x", "some-thing": 1}}


@pytest.mark.skipif(not QEMU.exists(), reason="no QEMU here")
def test_qemu_does_what_it_is_told_or_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "qmp"
    argv = [str(QEMU), "-S", "-nodefaults", "-display", "none", "-device", "qemu-xhci,id=xhci"]
    with subprocess.Popen([*argv, "-qmp", f"unix:{path},server=on,wait=off"]) as qemu:
        try:
            until(path.exists)
            monitor = Monitor(path)
            assert monitor.do("query-status")["running"] is False
            monitor.do("device_add", driver="usb-kbd", id="one", bus="xhci.0")
            with pytest.raises(Refused, match="device_add: "):
                monitor.do("device_add", driver="usb-kbd", id="one", bus="xhci.0")
            monitor.do("quit")
            assert qemu.wait(60) == 0
            monitor.close()
        finally:
            qemu.kill()
