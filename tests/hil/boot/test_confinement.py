"""What the probe says is read, and nothing else that a unit's journal has."""

import json

import pytest

from hil.boot import probe
from hil.boot.confinement import told


def line(unit: str, came: str) -> str:
    return json.dumps({probe.MARK: unit, "came": {"shell": came}, "standing": {"Uid": ["1"]}})


def test_the_last_word_of_that_unit_counts() -> None:
    lines = ("Starting", line("a", "done"), line("a", "EPERM"), line("b", "done"), "{}")
    text = "\n".join(lines)
    seen = told(text, "a")
    assert seen.came == {"shell": "EPERM"}
    assert seen.standing == {"Uid": ["1"]}


def test_silence_is_no_refusal() -> None:
    with pytest.raises(ValueError, match="a: the probe has said nothing"):
        told(line("b", "EPERM"), "a")
