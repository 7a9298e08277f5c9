"""Who has the hardware before them: told what to do, heard when they say something. A terminal.

`r` repeats, `s REASON` skips, `f` notes a failure. A keyboard that is gone (end of file) never
makes anybody wait: what is asked of it then is skipped, and the reason says so.
"""

from __future__ import annotations

import os
import select
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Language = Literal["fr", "en"]
NOBODY: Final = "nobody at the keyboard"
MAX_REASON_CHARS: Final = 200
_WORDS: Final = Path(__file__).with_name("words.toml")
_ERASE: Final = frozenset({"effacer", "erase"})


@dataclass(frozen=True)
class Repeat:
    """The step, or the scenario, once more."""


@dataclass(frozen=True)
class Skip:
    """Not this scenario."""

    reason: str


@dataclass(frozen=True)
class Fail:
    """It has failed; on to the next."""


Answer = Repeat | Skip | Fail


def words() -> dict[str, dict[Language, str]]:
    """Every sentence, in both languages."""
    with _WORDS.open("rb") as file:
        return tomllib.load(file)


def parsed(line: str) -> Answer | None:
    """What somebody typed; None for anything else, a skip without a reason included."""
    word, _, rest = line.strip().partition(" ")
    reason = "".join(char for char in rest.strip() if char.isprintable())[:MAX_REASON_CHARS]
    match word.lower():
        case "r":
            return Repeat()
        case "f":
            return Fail()
        case "s" if reason:
            return Skip(reason)
        case _:
            return None


class Person:
    """A terminal: lines go out by `write`, come in from a descriptor."""

    def __init__(self, language: Language, write: Callable[[str], None], keyboard: int) -> None:
        self._language: Language = language
        self._write = write
        self._keyboard = keyboard
        self._words = words()
        self._typed = b""
        self._gone = False

    def tell(self, name: str, **facts: object) -> None:
        """Say one of the sentences."""
        self._write(self.phrase(name, **facts))

    def phrase(self, name: str, **facts: object) -> str:
        """One of the sentences, filled in."""
        return self._words[name][self._language].format(**facts)

    def hint(self, text: str) -> None:
        """What the box itself says."""
        self._write(f"   » {text}")

    @property
    def language(self) -> Language:
        """Which they read."""
        return self._language

    def said(self, within_s: float = 0.0) -> Answer | None:
        """What has been typed, if it means something; waits so long at most."""
        line = self._line(within_s)
        return None if line is None else parsed(line)

    def decides(self, within_s: float) -> Answer:
        """What is to become of a scenario; nobody there, or nothing said in time: it is skipped."""
        end_s = time.monotonic() + within_s
        while not self._gone and (left_s := end_s - time.monotonic()) > 0:
            answer = self.said(left_s)
            if answer is not None:
                return answer
        return Skip(NOBODY)

    def confirms(self, within_s: float) -> bool:
        """Enter, and whatever is before it: done."""
        return self._line(within_s) is not None

    def agrees_to_erase(self, within_s: float) -> bool:
        """The word itself, and no other."""
        self.tell("erase")
        line = self._line(within_s)
        return line is not None and line.strip().lower() in _ERASE

    def _line(self, within_s: float) -> str | None:
        """The next whole line, without its end. None: not one yet."""
        end_s = time.monotonic() + within_s
        while b"\n" not in self._typed and not self._gone:
            left_s = max(0.0, end_s - time.monotonic())
            if not select.select([self._keyboard], [], [], left_s)[0]:
                return None
            piece = os.read(self._keyboard, 4096)
            self._typed += piece
            self._gone = not piece
        line, found, rest = self._typed.partition(b"\n")
        self._typed = rest
        return line.decode("utf-8", "replace") if found else None
