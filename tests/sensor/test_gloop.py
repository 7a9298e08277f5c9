"""Waits end by their condition, their deadline, or a word on the descriptor; and leave nothing."""

import os
import time

import pytest
from gi.repository import GLib

from sdbox_agent.sensor.gloop import Waiting
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig


def test_a_wait_ends_by_its_deadline() -> None:
    start = time.monotonic()
    with Waiting(0.05) as wait:
        assert not wait.until(lambda: False)
    assert wait.late
    assert 0.04 < time.monotonic() - start < PATIENCE_S


def test_a_wait_ends_when_the_descriptor_speaks_or_closes() -> None:
    for speak in (lambda fd: os.write(fd, b"x"), os.close):
        end, start = os.pipe()
        speak(start)
        with Waiting(5, end) as wait:
            assert not wait.until(lambda: False)
        assert wait.interrupted
        assert not wait.late
        os.close(end)


def test_a_condition_met_needs_no_waiting() -> None:
    with Waiting(5) as wait:
        assert wait.until(lambda: True)


def test_no_source_outlives_its_wait() -> None:
    with Waiting(0.01) as wait:
        pass
    time.sleep(0.02)
    while GLib.MainContext.default().iteration(False):
        pass
    assert not wait.late
