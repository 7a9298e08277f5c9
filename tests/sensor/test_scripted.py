"""The double refuses the same images as the real sensor does."""

import os

import numpy as np
import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.sensor.scripted import ScriptedSensor


def test_the_double_guards_the_size_too() -> None:
    sensor = ScriptedSensor([np.zeros((20, 200), dtype=np.uint8)])
    sensor.open()
    end, start = os.pipe()
    with pytest.raises(Fault, match="sensor-failed"):
        sensor.capture(0.1, end, lambda: None)
    os.close(end)
    os.close(start)
