"""What the console says of a scene, in both languages, before anybody knows how large it is.

The box's own language comes first and is never left out; what `Rank` orders after it goes first
where there is no room. Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent import errors
from sdbox_agent.screen import words

if TYPE_CHECKING:
    from sdbox_agent.console.scene import Scene
    from sdbox_agent.daemon.view import View


@enum.unique
class Rank(enum.IntEnum):
    """What stays when the terminal is small: the lower, the longer."""

    SAID = 0  # what happened, and the code to quote
    TO_DO = 1
    ASKED = 2  # what is to be typed, and what has been
    STANDING = 3  # link and tunnel
    DETAIL = 4
    OTHER_SAID = 5  # the other language
    OTHER_TO_DO = 6
    MORE = 7


@enum.unique
class Style(enum.Enum):
    """How a line is set off."""

    PLAIN = "plain"
    STRONG = "strong"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text of any length, to be filtered and broken into lines."""

    text: str
    rank: Rank
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True)
class Page:
    """`choices` stand between `above` and `below`; `row` is the one that is marked."""

    large: tuple[str, ...]  # in each language, the box's own first
    above: tuple[Paragraph, ...]
    choices: tuple[str, ...] = ()
    row: int | None = None
    below: tuple[Paragraph, ...] = ()
    foot: tuple[Paragraph, ...] = ()


_LARGE: Final = {
    "idle": "idle", "checking": "wait", "proving": "wait", "pinentry": "pin",
    "codeentry": "one-time-code", "opening": "wait", "scanning": "wait", "reserving": "wait",
    "comparing": "wait", "choosing": "choose", "signing": "connecting",
    "tunnelling": "connecting", "open": "open", "closing": "closing", "broken": "blocked",
}  # fmt: skip
# Refused by their class, and how a session ends that nothing was wrong with.
_PLAIN_ENDS: Final = frozenset(
    {"card-removed", "cancelled", "shutdown", "session-closed", "session-idle", "session-limit"}
)
_ENDS: Final = {"AskAgain": "over", "Refused": "refused", "Fault": "fault", "Bug": "fault"}
_TUNNEL: Final = {
    "signing": "opening", "tunnelling": "opening", "open": "open", "closing": "closing",
    "broken": "unknown",
}  # fmt: skip


def page(scene: Scene, language: str) -> Page:
    """All there is to say; `language` is one of errors.LANGUAGES."""
    both = (language, *(other for other in errors.LANGUAGES if other != language))
    if scene.view is None:
        return _lost(scene, both)
    shown = scene.view
    # Of the last choice, else of the state; what has no code is said by the state's own sentence.
    code = scene.note or shown.code
    above = _of_code(code, both) if code else _of_state(shown, both)
    return Page(
        large=tuple(words("large", _large(shown), language) for language in both),
        above=above,
        choices=_choices(shown, language),
        row=scene.row,
        below=(*_asked(scene, shown, both), *_details(shown, both), *_notices(shown, both)),
        foot=_standing(shown, both),
    )


def _lost(scene: Scene, both: tuple[str, ...]) -> Page:
    """A box that is starting is no fault yet: it comes by itself, or it is one."""
    late = scene.late or scene.code != "agent-unreachable"
    if late:
        above = _of_code(scene.code, both)
    else:
        above = tuple(
            Paragraph(words("console", "starting", language), rank, style)
            for language, rank, style in zip(
                both, (Rank.SAID, Rank.OTHER_SAID), (Style.STRONG, Style.PLAIN), strict=True
            )
        )
    name = "unreachable" if late else "wait"
    large = tuple(words("large", name, language) for language in both)
    return Page(large, above, foot=_standing(None, both))


def _large(shown: View) -> str:
    if shown.state == "spent":
        code = errors.code_shown(shown.code or "unknown-code")
        return "over" if code in _PLAIN_ENDS else _ENDS[errors.explain(code).kind]
    return "finger" if shown.waits else _LARGE.get(shown.state, "wait")


def _of_state(shown: View, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    own, other = (words("state", shown.state, language) for language in both)
    return (Paragraph(own, Rank.SAID, Style.STRONG), Paragraph(other, Rank.OTHER_SAID))


def _of_code(code: str, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    """Sentence, remedy and code; a code that nobody knows is never shown."""
    code = errors.code_shown(code)
    row = errors.explain(code)
    own, other = both
    return (
        Paragraph(row.sentence[own], Rank.SAID, Style.STRONG),
        Paragraph(row.remedy[own], Rank.TO_DO, Style.STRONG),
        Paragraph(f"{words('console', 'code', own)}: {code}", Rank.SAID),
        Paragraph(row.sentence[other], Rank.OTHER_SAID),
        Paragraph(row.remedy[other], Rank.OTHER_TO_DO),
    )


def _choices(shown: View, language: str) -> tuple[str, ...]:
    closed = words("console", "no-entry", language)
    names = (
        f"{project.label} ({project.project})" if project.label else project.project
        for project in shown.projects
    )
    rows = zip(shown.projects, names, strict=True)
    return tuple(
        f"{number:>2}  {name}" + (f" - {closed}: {errors.code_shown(one.code)}" if one.code else "")
        for number, (one, name) in enumerate(rows, 1)
    )


def _asked(scene: Scene, shown: View, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    if not scene.asks:
        return ()
    kind = "type-code" if shown.state == "codeentry" else "type-project"
    own, other = (words("console", kind, language) for language in both)
    return (
        Paragraph(f"> {scene.typed}_", Rank.ASKED, Style.STRONG),
        Paragraph(own, Rank.ASKED),
        Paragraph(other, Rank.OTHER_TO_DO),
    )


def _details(shown: View, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    """What concerns the person now; what `sdbox-agent status` says besides is for others."""
    touched = shown.state in {"scanning", "comparing", "codeentry"}
    known = (
        ("project", shown.project),
        ("attempts_left", shown.attempts_left if touched else None),
        ("pin_left", shown.pin_left),
        ("expires_in_days", shown.expires_in_days),
        ("issuer", shown.issuer),
    )
    return tuple(
        Paragraph(f"{_label('detail', name, both)}: {value}", Rank.DETAIL)
        for name, value in known
        if value is not None
    )


def _notices(shown: View, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    rows = [errors.explain(code) for code in shown.notices if code in errors.table()]
    return tuple(
        Paragraph(f"{row.sentence[language]} [{row.code}]", Rank.MORE)
        for row in rows
        for language in both
    )


def _standing(shown: View | None, both: tuple[str, ...]) -> tuple[Paragraph, ...]:
    """How the link and the tunnel stand, for whoever is on the telephone."""
    tunnel = "unknown" if shown is None else _TUNNEL.get(shown.state, "closed")
    link, why = "unknown", ""
    if shown is not None and shown.link is not None:
        link = "up" if shown.link.up else "down"
        why = f" [{errors.code_shown(shown.link.code)}]" if shown.link.code else ""
    carried = f" ({shown.carrier})" if shown is not None and shown.carrier else ""
    rows = (
        (_label("console", "centre", both), f"link-{link}", why),
        (_label("console", "tunnel", both), f"tunnel-{tunnel}", carried),
    )
    return tuple(
        Paragraph(f"{label}: {_label('console', name, both)}{more}", Rank.STANDING)
        for label, name, more in rows
    )


def _label(kind: str, name: str, both: tuple[str, ...]) -> str:
    """In both languages, or once where they say it alike."""
    said = dict.fromkeys(words(kind, name, language) for language in both)  # type: ignore[arg-type]  # a Kind
    return " / ".join(said)
