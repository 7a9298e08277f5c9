"""What can go wrong, told by who can act.

An error holds a stable code and nothing else: no card data, no finger, no name. The sentence, the
remedy and whom to call stand in errors.toml, once, in French and English.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

LANGUAGES: Final = ("fr", "en")
CALLS: Final = (
    "nobody", "operator", "centre", "project-lead", "enrolment-office", "legal-office",
)  # fmt: skip


class DecodeError(ValueError):
    """Bytes from outside are not what the format allows. `reason` quotes none of them."""


class SdboxError(Exception):
    """The parent of the four classes; raise one of those."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AskAgain(SdboxError):  # noqa: N818  the four names are the project's vocabulary
    """The person can mend it now: another touch, another choice."""


class Refused(SdboxError):  # noqa: N818
    """Policy says no: card, certificate, finger, grant."""


class Fault(SdboxError):  # noqa: N818
    """A device, a process or the network failed; an operator can mend it."""


class Bug(SdboxError):  # noqa: N818
    """Ours. It closes the session and asks for a report."""


CLASSES: Final[dict[str, type[SdboxError]]] = {
    c.__name__: c for c in (AskAgain, Refused, Fault, Bug)
}


_RESULTS: Final[dict[str, Literal["ask-again", "refused", "fault", "bug"]]] = {
    "AskAgain": "ask-again",
    "Refused": "refused",
    "Fault": "fault",
    "Bug": "bug",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One row of errors.toml."""

    code: str
    kind: str  # one of CLASSES
    sentence: dict[str, str]  # language -> what happened
    remedy: dict[str, str]  # language -> what to do
    call: str  # one of CALLS
    retry: bool  # a Fault that the box may try again by itself, with back-off

    @property
    def result(self) -> Literal["ask-again", "refused", "fault", "bug"]:
        """The class as the audit record writes it."""
        return _RESULTS[self.kind]


@functools.cache
def table() -> dict[str, Explanation]:
    """Every code the project may show, read once from errors.toml."""
    text = resources.files("sdbox_agent").joinpath("errors.toml").read_text("utf-8")
    return {code: _row(code, row) for code, row in tomllib.loads(text).items()}


def _row(code: str, row: dict[str, object]) -> Explanation:
    kind, call = str(row["class"]), str(row["call"])
    if kind not in CLASSES or call not in CALLS:
        raise ValueError(f"errors.toml: {code}: unknown class or call")
    return Explanation(
        code,
        kind,
        {language: str(row[language]) for language in LANGUAGES},
        {language: str(row[f"remedy_{language}"]) for language in LANGUAGES},
        call,
        row.get("retry") is True,
    )


def explain(code: str) -> Explanation:
    """The row of `code`. Raises KeyError for a code that does not exist."""
    return table()[code]


def error(code: str) -> SdboxError:
    """The exception of the class that errors.toml gives `code`; an unknown code is a Bug."""
    row = table().get(code)
    return CLASSES[row.kind](code) if row else Bug("unknown-code")


def render(code: str, language: str) -> str:
    """One line for a person: what happened, what to do, and the code to quote on the telephone.

    A code that does not exist is shown as `unknown-code`; `language` is one of LANGUAGES.
    """
    row = table().get(code) or explain("unknown-code")
    return f"{row.sentence[language]} {row.remedy[language]} ({code_shown(code)})"


def code_shown(code: str) -> str:
    """`code` if it stands in the table: nothing else ever reaches a screen."""
    return code if code in table() else "unknown-code"


def as_json(code: str) -> dict[str, object]:
    """What `sdbox-agent explain CODE --json` prints. Raises KeyError for an unknown code."""
    row = explain(code)
    return {
        "code": row.code,
        "class": row.kind,
        "sentence": dict(row.sentence),
        "remedy": dict(row.remedy),
        "call": row.call,
        "retry": row.retry,
    }
