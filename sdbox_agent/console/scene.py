"""What stands on the console: the box's last view, what has been typed, why nobody answers. Pure.

Keys count while a project is chosen or a one-time code is asked for, and at no other time. Nothing
is chosen before a key has pointed at it: whoever presses Enter a moment too soon enters nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sdbox_agent.console.keys import Key
from sdbox_agent.daemon import view

if TYPE_CHECKING:
    from sdbox_agent.ipc import Message

MAX_DIGITS: Final = {"choosing": len(str(view.MAX_PROJECTS)), "codeentry": 8}
MIN_CODE_DIGITS: Final = 6  # view.EnterCode
PATIENCE_MS: Final = 30_000.0  # a core that was killed is back by then: its watchdog's time


@dataclass(frozen=True, slots=True)
class Scene:
    """`view` is None while the box's program does not answer: since `lost_ms`, for `code`."""

    view: view.View | None = None
    lost_ms: float = 0.0
    code: str = "agent-unreachable"
    late: bool = False  # it has not answered for longer than it takes to start anew
    typed: str = ""
    row: int | None = None  # the project a key has pointed at
    note: str | None = None  # a code: why the last choice was not taken

    @property
    def asks(self) -> bool:
        """Is anything to be typed?"""
        return self.view is not None and self.view.state in MAX_DIGITS


def seen(scene: Scene, shown: view.View) -> Scene:
    """The box has said what it is doing. What was typed stands while the question is the same."""
    before = scene.view
    if before is not None and _question(before) == _question(shown):
        return replace(scene, view=shown)
    return Scene(view=shown)


def lost(scene: Scene, code: str, now_ms: float) -> Scene:
    """Nobody answers, for the reason `code`. What the box showed last is not true any more."""
    lost_ms = now_ms if scene.view is not None else scene.lost_ms
    return Scene(code=code, lost_ms=lost_ms, late=now_ms - lost_ms >= PATIENCE_MS)


def answered(scene: Scene, message: Message) -> Scene:
    """What became of the last choice."""
    note = message.code if isinstance(message, view.NotTaken) and scene.asks else None
    return replace(scene, note=note)


def pressed(scene: Scene, key: Key | str) -> tuple[Scene, Message | None]:
    """A key; with it, what is to be said to the box."""
    shown = scene.view
    if shown is None or not scene.asks:
        return scene, None
    if key is Key.ENTER:
        return _enter(scene, shown)
    if shown.state == "choosing" and key in {Key.UP, Key.DOWN}:
        return _point(scene, shown, key), None
    typed = scene.typed
    if key is Key.ERASE:
        typed = typed[:-1]
    elif isinstance(key, str) and len(typed) < MAX_DIGITS[shown.state]:
        typed += key
    row = int(typed) - 1 if shown.state == "choosing" and typed else -1
    there = row if 0 <= row < len(shown.projects) else None
    return replace(scene, typed=typed, row=there, note=None), None


def _question(shown: view.View) -> tuple[object, ...]:
    return shown.n, shown.state, shown.projects


def _point(scene: Scene, shown: view.View, key: Key | str) -> Scene:
    last = len(shown.projects) - 1
    if scene.row is None:
        row = 0 if key is Key.DOWN else last
    else:
        row = scene.row + (1 if key is Key.DOWN else -1)
    return replace(scene, typed="", row=min(max(row, 0), last) if last >= 0 else None, note=None)


def _enter(scene: Scene, shown: view.View) -> tuple[Scene, Message | None]:
    if shown.state == "codeentry":
        if len(scene.typed) < MIN_CODE_DIGITS:
            return scene, None
        return replace(scene, typed="", note=None), view.EnterCode(code=scene.typed)
    if scene.row is None:
        return scene, None
    project = shown.projects[scene.row]
    if project.code:  # shown, and can't be entered: the box would say the same
        return replace(scene, note=project.code), None
    return replace(scene, note=None), view.ChooseProject(project=project.project)
