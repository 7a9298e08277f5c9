"""Steps, one after the other: what holds already is left alone, what fails ends the run. Pure.

A step is judged by what is there, never by a note that it was made: so a run that was cut anywhere
is gone on with by the next, and a run on a finished box changes nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from sdbox_agent import errors, screen
from sdbox_agent.errors import Bug, SdboxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@enum.unique
class Result(enum.StrEnum):
    """How a step ended."""

    SO = "already-so"
    DONE = "done"
    WOULD = "would-do"  # of a dry run
    FAILED = "failed"


class Told(msgspec.Struct, frozen=True):
    """One step's end. `note`: of screen.toml's [setup]; `detail`: a file and line, or a figure."""

    number: int
    of: int
    step: str
    result: Result
    code: str = ""
    note: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What is to be said of a step that was made: words of screen.toml, and what they are about."""

    name: str = ""
    detail: str = ""


NOTHING = Note()


class Step(Protocol):
    """One step; `name` has its words in screen.toml's [setup]."""

    @property
    def name(self) -> str:
        """Which."""

    def holds(self) -> bool:
        """Is it so already? Changes nothing. Raises SdboxError where it can't come to be so."""

    def act(self) -> Note:
        """Make it so; what was begun and cut is gone on with. Raises SdboxError, OSError."""


def run(steps: Sequence[Step], *, dry: bool) -> Iterator[Told]:
    """Each step in turn, up to the first that fails; a dry run changes nothing and sees all."""
    of = len(steps)
    for number, step in enumerate(steps, 1):
        try:
            result, note = _made(step, dry=dry)
        except SdboxError as error:
            detail = str(getattr(error, "diagnosis", ""))
            yield Told(number, of, step.name, Result.FAILED, error.code, detail=detail)
        except OSError as error:
            detail = ": ".join(str(said) for said in (error.filename, error.strerror) if said)
            yield Told(number, of, step.name, Result.FAILED, "disk-failed", detail=detail)
        else:
            yield Told(number, of, step.name, result, note=note.name, detail=note.detail)
            continue
        if not dry:
            return


def _made(step: Step, *, dry: bool) -> tuple[Result, Note]:
    if step.holds():
        return Result.SO, NOTHING
    if dry:
        return Result.WOULD, NOTHING
    note = step.act()
    if not step.holds():
        raise Bug("unforeseen")
    return Result.DONE, note


def text(told: Told, language: str) -> Iterator[str]:
    """For a person: the step and its end on one line; what to do, or to know, below."""
    title, result = _say(told.step, language), _say(told.result, language)
    yield f"{told.number:>2}/{told.of}  {title}: {result}"
    about = "\n".join(f"       {line}" for line in told.detail.splitlines())
    if told.code:
        if about:
            yield about
        yield f"       {errors.render(told.code, language)}"
    elif told.note:
        yield f"       {_say(told.note, language)}"
        if about:
            yield about


def as_json(told: Told) -> bytes:
    """For programs: a line a step, its words in both languages."""
    row: dict[str, object] = {
        "step": told.step,
        "number": told.number,
        "of": told.of,
        "title": _both(told.step),
        "result": told.result,
        "detail": told.detail,
    }
    if told.code:
        row |= errors.as_json(told.code)
    if told.note:
        row |= {"note": told.note, "says": _both(told.note)}
    return msgspec.json.encode(row)


def _both(name: str) -> dict[str, str]:
    return {language: _say(name, language) for language in errors.LANGUAGES}


def _say(name: str, language: str) -> str:
    return screen.words("setup", name, language)
