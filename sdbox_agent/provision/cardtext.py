"""What `sdbox-agent card` prints for a person, in French or English. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdbox_agent import errors
from sdbox_agent.screen import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdbox_agent.provision.cardcheck import CardSeen, CertificateSeen, ReaderSeen, Verdict

_MARKS = {"passed": "+", "refused": "!", "not-reached": " "}


def readers(seen: Sequence[ReaderSeen], language: str) -> Iterator[str]:
    """One line a reader."""
    if not seen:
        yield words("card", "no-reader", language)
    for one in seen:
        what = one.atr if one.present else words("card", "empty", language)
        yield f"{_safe(one.reader)}  {what}"


def card(seen: CardSeen, language: str) -> Iterator[str]:
    """What the card shows."""

    def line(name: str, value: object) -> str:
        return f"{words('card', name, language)}: {value}"

    yield line("reader", _safe(seen.reader))
    yield line("atr", seen.atr)
    yield line("kind", seen.kind)
    if seen.guid is not None:
        yield line("guid", seen.guid)
    if seen.expires is not None:
        yield line("expires", f"{seen.expires[:4]}-{seen.expires[4:6]}-{seen.expires[6:]}")
    yield line("pin", _tries(seen.pin_left, language))
    for finger in seen.fingers:
        yield f"{line('finger', finger.key)} ({finger.position}): {_tries(finger.left, language)}"
    for one in seen.certificates:
        yield from _certificate(one, language)


def verdict(said: Verdict, language: str) -> Iterator[str]:
    """The decision, step by step, and the lists it rests on."""
    if not said.lists:
        yield words("card", "no-list", language)
    for one in said.lists:
        name = one.issuer or words("card", "unshowable", language)
        hours = one.age_s // 3600
        yield f"{words('card', 'list', language)}: {name}  {one.number}  {hours} h"
    for step in said.steps:
        yield f"{_MARKS[step.result]} {words('step', step.step, language)}"
        if step.code is not None:
            yield "    " + errors.render(step.code, language)
    yield words("card", "believed" if said.believed else "not-believed", language)


def _certificate(one: CertificateSeen, language: str) -> Iterator[str]:
    label = f"{words('card', 'certificate', language)} {one.key}"
    if one.not_before is None:
        yield f"{label}: {words('card', 'unreadable', language)}"
        return
    subject = one.subject or words("card", "unshowable", language)
    yield f"{label}: {subject}, {one.algorithm}, {one.not_before[:10]} .. {str(one.not_after)[:10]}"
    yield f"    {words('card', 'policies', language)}: {', '.join(one.policies) or '-'}"


def _tries(left: int | None, language: str) -> str:
    if left is None:
        return words("card", "none", language)
    return str(left) if left else words("card", "blocked", language)


def _safe(name: str) -> str:
    """A reader names itself."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
