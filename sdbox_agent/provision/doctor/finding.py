"""What one check found, and what all of them come to. Pure."""

from __future__ import annotations

import enum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent import errors, screen
from sdbox_agent.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION: Final = 1  # of the JSON
MOST_CHARACTERS: Final = 400  # of a detail


@enum.unique
class Result(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAILED = "failed"
    SKIPPED = "skipped"


# What monitoring goes by, the worst of all findings: 0 all well (or not looked at), 1 warnings,
# 2 failures. The same numbers as those of Nagios plug-ins.
STATUS: Final = {Result.OK: 0, Result.SKIPPED: 0, Result.WARN: 1, Result.FAILED: 2}

# What must hold before a box is activated: nothing of a person may outlive a session on its disk,
# and nothing virtual may stand in for a part of it.
ACTIVATION: Final = frozenset(
    ("swap", "hibernation", "core-dumps", "journal", "freed-memory", "data-partition", "rig-mark")
)


class Finding(msgspec.Struct, frozen=True):
    """One thing found. `code` is of errors.toml, `reason` of screen.toml; neither says who."""

    check: str
    result: Result
    code: str = ""  # of a warning or a failure
    reason: str = ""  # why it was skipped
    detail: str = ""  # which file, unit or figure


def ok(check: str, detail: str = "") -> Finding:
    """All is well."""
    return Finding(check, Result.OK, detail=detail)


def warn(check: str, *, code: str, detail: str = "") -> Finding:
    """It works, and somebody should see to it."""
    return Finding(check, Result.WARN, code=code, detail=detail)


def failed(check: str, *, code: str, detail: str = "") -> Finding:
    """It does not work, or is not safe."""
    return Finding(check, Result.FAILED, code=code, detail=detail)


def skipped(check: str, reason: str) -> Finding:
    """Nobody looked; `reason` is a name of screen.toml's [doctor]."""
    return Finding(check, Result.SKIPPED, reason=reason)


def whole(check: str, troubles: Iterable[Finding], detail: str = "") -> tuple[Finding, ...]:
    """The troubles, or that there are none."""
    return tuple(troubles) or (ok(check, detail),)


def worst(findings: Iterable[Finding]) -> Result:
    """The result that decides the exit status."""
    return max((each.result for each in findings), key=STATUS.__getitem__, default=Result.OK)


def permit_activation(findings: Iterable[Finding]) -> None:
    """Raises Fault("box-not-fit") unless each check of ACTIVATION was made, and none failed."""
    held = set(ACTIVATION)
    for each in findings:
        if each.check in ACTIVATION and each.result is Result.FAILED:
            raise Fault("box-not-fit")
        if each.result is not Result.SKIPPED:
            held.discard(each.check)
    if held:
        raise Fault("box-not-fit")


def as_json(findings: Iterable[Finding]) -> bytes:
    """For programs: every finding with its words in both languages."""
    found = tuple(findings)
    return msgspec.json.encode(
        {"v": VERSION, "result": worst(found), "checks": [_row(each) for each in found]}
    )


def text(findings: Iterable[Finding], language: str) -> Iterator[str]:
    """For a person: a line a finding, and what to do about it below."""
    found = tuple(findings)
    for each, following in pairwise((*found, None)):
        assert each is not None, "the last is nobody's predecessor"
        result, title = _say(each.result, language), _say(each.check, language)
        detail = _say(each.reason, language) if each.reason else _plain(each.detail)
        yield f"{result:<8} {title}" + (f" ({detail})" if detail else "")
        same = following and (following.check, following.code) == (each.check, each.code)
        if each.code and not same:
            yield f"         {errors.render(each.code, language)}"
    counts = [(result, sum(each.result is result for each in found)) for result in Result]
    yield ", ".join(f"{_say(result, language)} {count}" for result, count in counts)


def _row(each: Finding) -> dict[str, object]:
    row: dict[str, object] = {
        "check": each.check,
        "title": _both(each.check),
        "result": each.result,
        "detail": _plain(each.detail),
    }
    if each.code:
        row |= errors.as_json(each.code)  # code, sentence, remedy, whom to call
    if each.reason:
        row |= {"reason": each.reason, "why": _both(each.reason)}
    return row


def _plain(detail: str) -> str:
    """Names of files come from a disk: none of them is a terminal's command, or no text at all."""
    return screen.printable(detail[:MOST_CHARACTERS])


def _both(name: str) -> dict[str, str]:
    return {language: _say(name, language) for language in errors.LANGUAGES}


def _say(name: str, language: str) -> str:
    return screen.words("doctor", name, language)
