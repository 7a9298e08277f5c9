"""A page on a terminal of some size: the lines, then the bytes. Pure.

Only here does text become what a terminal reads, and all of it passes `plain`: no character of it
begins a command. The commands are those of `_ANSI`, and there are no others (ECMA-48; the linux
console and every terminal of `CAPABLE` know them).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.console import letters
from sdbox_agent.console.page import Page, Rank, Style
from sdbox_agent.console.plain import plain, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sdbox_agent.console.page import Paragraph

CAPABLE: Final = re.compile(r"(?:linux|ansi|(?:xterm|screen|tmux|rxvt|vt[1-5]\d\d)(?:-.*)?)")
MIN_COLUMNS, MIN_ROWS = 40, 10  # below, what fits
_SCALES: Final = (4, 3, 2, 1)
_MARGIN: Final = 2
_SHOWN_CHOICES: Final = 4  # at least, beside all that is said
_LEAST_CHOICES: Final = 3  # at least, beside what must be


@dataclass(frozen=True, slots=True)
class Terminal:
    """What is known of it."""

    columns: int
    rows: int
    commands: bool  # does it take any? A dumb one gets lines, one after the other
    unicode: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line, no longer than the terminal is wide."""

    text: str
    style: Style = Style.PLAIN


def lines(page: Page, terminal: Terminal) -> list[Line]:
    """At most as many as the terminal has rows."""
    if terminal.commands and terminal.unicode:
        for large in (page.large, page.large[:1]):  # both languages, or the box's own
            for scale in _SCALES:
                set_large = _large(large, terminal, scale)
                if set_large and (found := _all(page, terminal, set_large)):
                    return found
    return _all(page, terminal, []) or _least(page, terminal)


def encode(drawn: Sequence[Line], terminal: Terminal) -> bytes:
    """What is written: the whole screen over what stood there, or the lines and one more."""
    coding = "utf-8" if terminal.unicode else "ascii"
    if not terminal.commands:
        return "".join(f"{line.text}\r\n" for line in (*drawn, Line(""))).encode(coding)
    rows = [*drawn, *[Line("")] * (terminal.rows - len(drawn))]
    return b"".join(
        b"\x1b[%d;1H%s%s\x1b[0m"
        % (number, _ANSI[row.style], row.text.ljust(terminal.columns).encode(coding))
        for number, row in enumerate(rows, 1)
    )


_ANSI: Final = {Style.PLAIN: b"", Style.STRONG: b"\x1b[1m", Style.MARKED: b"\x1b[7m"}
BEGIN: Final = b"\x1b[?25l\x1b[0m\x1b[2J"  # no cursor, nothing on the screen
BEGIN_LINUX: Final = b"\x1b[9;0]"  # console_codes(4): the screen never goes dark
END: Final = b"\x1b[0m\x1b[2J\x1b[1;1H\x1b[?25h"


def _all(page: Page, terminal: Terminal, large: list[Line]) -> list[Line] | None:
    """Everything, under these large words; None if there is no room."""
    above = [*large, *_set(page.above, terminal), Line("")]
    below = _set(page.below, terminal)
    foot = _set(page.foot, terminal)
    room = terminal.rows - len(above) - len(below) - len(foot) - (1 if page.choices else 0)
    if room < min(len(page.choices), _SHOWN_CHOICES):
        return None
    choices = _choices(page, terminal, room)
    filled = len(above) + len(choices) + len(below) + len(foot)
    gap = [Line("")] * (terminal.rows - filled if terminal.commands else 0)
    return [*above, *choices, *below, *gap, *foot]


def _least(page: Page, terminal: Terminal) -> list[Line]:
    """What fits: the least important paragraphs go, then lines from the end."""
    parts = (page.above, page.below, page.foot)
    for last in sorted(Rank, reverse=True):
        above, below, foot = (
            _set((one for one in part if one.rank <= last), terminal) for part in parts
        )
        room = terminal.rows - len(above) - len(below) - len(foot)
        if room >= min(len(page.choices), _LEAST_CHOICES):
            return [*above, *_choices(page, terminal, room), *below, *foot]
    return _set((one for part in parts for one in part), terminal)[: terminal.rows]


def _choices(page: Page, terminal: Terminal, room: int) -> list[Line]:
    """As many as there is room for, about the one that is marked; the last line says how many."""
    count = len(page.choices)
    if not count or room < 1:
        return []
    shown = count if count <= room else max(1, room - 1)
    first = min(max(0, (page.row or 0) - shown // 2), count - shown)
    found = [
        Line(
            _cut(("> " if number == page.row else "  ") + text, terminal),
            Style.MARKED if number == page.row else Style.PLAIN,
        )
        for number, text in enumerate(page.choices)
        if first <= number < first + shown
    ]
    if shown < count and room > shown:
        found.append(Line(_cut(f"  ... {first + 1}-{first + shown} / {count}", terminal)))
    return [*found, Line("")] if room > len(found) else found


def _set(paragraphs: Iterable[Paragraph], terminal: Terminal) -> list[Line]:
    return [Line(text, one.style) for one in paragraphs for text in _broken(one.text, terminal)]


def _broken(text: str, terminal: Terminal) -> list[str]:
    return wrap(plain(text, ascii_only=not terminal.unicode), max(1, terminal.columns))


def _cut(text: str, terminal: Terminal) -> str:
    return plain(text, ascii_only=not terminal.unicode)[: terminal.columns]


def _large(texts: tuple[str, ...], terminal: Terminal, scale: int) -> list[Line]:
    """The words in large letters, broken between words; nothing if one does not fit."""
    rows: list[str] = []
    for text in texts:
        first = len(rows)
        for word in text.split():
            longer = f"{rows[-1]} {word}" if len(rows) > first else word
            if len(rows) > first and letters.width(longer, scale) <= terminal.columns - _MARGIN:
                rows[-1] = longer
            else:
                rows.append(word)
    if any(letters.width(row, scale) > terminal.columns - _MARGIN for row in rows):
        return []
    return [Line(" " + line) for row in rows for line in letters.draw(row, scale)]
