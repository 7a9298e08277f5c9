"""The words for what the box is doing, in French and English: screen.toml, read once.

Knows no state but by its name, so that the command line and the panel say the same.
"""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Literal

Kind = Literal[
    "state",
    "detail",
    "prompt",
    "large",
    "console",
    "card",
    "step",
    "finger",
    "network",
    "doctor",
    "renewal",
    "profile",
]


@functools.cache
def table() -> dict[str, dict[str, dict[str, str]]]:
    """Kind -> name -> language -> words."""
    text = resources.files("sdbox_agent").joinpath("screen.toml").read_text("utf-8")
    return tomllib.loads(text)


def printable(text: str) -> str:
    """Text that others wrote, on one line and with no command of a terminal in it."""
    return "".join(char if char.isprintable() else "?" for char in text)


def words(kind: Kind, name: str, language: str) -> str:
    """What a person reads; a name that has no words is shown as it is."""
    return table()[kind].get(name, {}).get(language, name)
