"""What came of it, by profile: JSON for machines, a page for people. Pure.

Hardware ids, versions, results and times; nothing of a person, a finger, a card's content or a key.
A reader's name loses the serial number that drivers put in it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Verdict = Literal["passed", "failed", "skipped"]
_SERIAL: Final = re.compile(
    r"\s*\((?=[^)]*\d)[0-9A-Za-z.:-]{4,}\)"
)  # libccid: "Name (21120515) 00"


@dataclass(frozen=True)
class Step:
    """One thing that was asked for, and how long until the box showed it."""

    gesture: str
    seen: str
    ms: float


@dataclass
class Result:
    """Of one scenario."""

    name: str
    verdict: Verdict = "passed"
    reason: str = ""
    repeats: int = 0
    seconds: float = 0.0
    steps: list[Step] = field(default_factory=list)
    box_ms: dict[str, float] = field(default_factory=dict)  # in each state but the person's


@dataclass
class Report:
    """Of one run."""

    profile: str
    revision: int
    utc: str
    hands: str
    hardware: dict[str, str | list[str]]
    versions: dict[str, str]
    results: list[Result] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Something passed, and nothing failed."""
        verdicts = {one.verdict for one in self.results}
        return "passed" in verdicts and "failed" not in verdicts


def without_serial(reader: str) -> str:
    """A PC/SC name, less what is this very device's own."""
    return _SERIAL.sub("", reader)


def as_json(report: Report) -> str:
    """The whole."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False) + "\n"


def as_page(report: Report) -> str:
    """Markdown."""
    counts = {
        verdict: sum(one.verdict == verdict for one in report.results)
        for verdict in ("passed", "failed", "skipped")
    }
    return "\n".join(
        [
            f"# {report.profile} (revision {report.revision}), {report.utc}",
            "",
            ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
            + f"; hands: {report.hands}.",
            "",
            *_table(("what", "is"), _facts(report)),
            "",
            *_table(
                ("scenario", "result", "s", "repeats", "box, ms", "why"),
                (
                    (one.name, one.verdict, f"{one.seconds:.1f}", str(one.repeats),
                     _times(one.box_ms), one.reason)
                    for one in report.results
                ),
            ),
            "",
            *_table(
                ("scenario", "asked for", "seen", "ms"),
                (
                    (one.name, step.gesture, step.seen, f"{step.ms:.0f}")
                    for one in report.results
                    for step in one.steps
                ),
            ),
            "",
        ]
    )  # fmt: skip


def _facts(report: Report) -> Iterable[tuple[str, ...]]:
    for name, value in {**report.hardware, **report.versions}.items():
        yield name, value if isinstance(value, str) else ", ".join(value)


def _times(box_ms: dict[str, float]) -> str:
    return ", ".join(f"{state} {ms:.0f}" for state, ms in box_ms.items())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines]
