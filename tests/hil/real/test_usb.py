"""USB readers as the rig sees them: who was in, since when; a busy reader is refused."""

import socket
from pathlib import Path

import pytest

from hil.real.hardware import NotThere
from hil.real.usb import UsbSlot, refuse_a_busy_reader, rules
from sdbox_agent.card.looks import Look


def test_stays_are_what_pcsc_tells() -> None:
    slot = UsbSlot()
    empty, full = (Look("r", present, 1) for present in (False, True))
    for looks in ((empty,), (), (full,), (empty, full), (), (full,)):
        slot.told(looks)
    first, second = slot.insertions
    assert first.inserted_at_ns <= first.removed_at_ns <= second.inserted_at_ns
    assert second.removed_at_ns is None


def test_no_hand_of_ours_reaches_a_real_reader() -> None:
    slot = UsbSlot()
    with pytest.raises(RuntimeError, match="hand"):
        slot.insert(None)
    assert slot.remove() is None
    slot.replug()


def test_a_sensor_is_given_by_its_ids_alone() -> None:
    assert rules(["05ba:000a", "05ba:0007"], 61003).splitlines() == [
        'SUBSYSTEM=="usb", ENV{DEVTYPE}=="usb_device", ATTR{idVendor}=="05ba", '
        f'ATTR{{idProduct}}=="{product}", GROUP="61003", MODE="0660"'
        for product in ("000a", "0007")
    ]


def test_a_pcscd_that_has_the_readers_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "pcscd.comm"
    refuse_a_busy_reader(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(NotThere, match="systemctl stop"):
            refuse_a_busy_reader(path)
    refuse_a_busy_reader(path)
