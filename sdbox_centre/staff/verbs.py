"""Staff's verbs as they are typed: names, arguments, options. Knows what none of them does.

`sdbox_centre NOUN VERB …`; whatever changes something has a motive, and asks for a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sdbox_centre.staff import answering, commands
from sdbox_centre.staff.commands import motive, utc, when_moved, words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sdbox_centre.staff.commands import Verb

Argument = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Typed:
    """One verb."""

    do: Verb
    help: str
    arguments: tuple[Argument, ...] = ()
    acts: bool = True  # it makes an act


def _named(*names: str) -> tuple[Argument, ...]:
    return tuple((name, {}) for name in names)


def _dates(*names: str) -> tuple[Argument, ...]:
    """Options that are days (2027-01-31, from its beginning, UTC) or UTC seconds."""
    return tuple((f"--{name}", {"type": utc, "dest": f"{_field(name)}_s"}) for name in names)


def _texts(*names: str) -> tuple[Argument, ...]:
    return tuple((f"--{name}", {"dest": _field(name)}) for name in names)


def _field(name: str) -> str:
    return name.replace("-", "_")


def _shows(do: Callable[[Any], None], help_: str) -> Typed:
    return Typed(lambda at, _: do(at), help_, acts=False)


def _rows(kind: str) -> Typed:
    return Typed(lambda at, _: at.rows(kind), "all, and whether staff signed them so", acts=False)


_LEVELS: Final[Argument] = ("--levels", {"type": words})
_PROJECT: Final = (
    *_texts("reason", "tenant", "funder", "legal-basis"),
    *_dates("contract-from", "contract-until", "legal-until"),
    ("--countries", {"type": words}),
    ("--boxes", {"type": words}),
    ("--when-moved", {"type": when_moved, "metavar": "tell|hold"}),
)
_BOX: Final = (
    *_texts("host", "place", "voucher", "funders", "country"),
    *_dates("rental-from", "rental-until"),
)
_GRANT: Final = (
    ("--role", {"choices": ("member", "lead")}),
    ("--undertaking", {"type": utc, "dest": "undertaking_s"}),
    ("--until", {"type": utc, "dest": "not_after_s"}),
)
_UNTIL: Final[Argument] = ("not_after_s", {"type": utc, "metavar": "not-after"})
_SINCE: Final[Argument] = ("not_before_s", {"type": utc, "metavar": "not-before"})

VERBS: Final[dict[str, dict[str, Typed]]] = {
    "holder": {
        "add": Typed(commands.holder_add, "a person, by pseudonym", _named("holder")),
        "remove": Typed(
            commands.holder_remove, "one without a card, in no project", _named("holder")
        ),
        "list": _rows("holder"),
    },
    "card": {
        "add": Typed(
            commands.card_add, "a holder's card: 9A, 9D, 9E, PEM",
            _named("holder", "auth", "keys", "cardauth"),
        ),
        "revoke": Typed(commands.card_revoke, "for good; SHA-256 or PEM of its 9A", _named("card")),
        "list": _rows("card"),
    },
    "unlock": {
        "card": Typed(commands.unlock, "attempts whole again; two people", _named("card")),
    },
    "enrolment": {
        "add": Typed(
            commands.enrolment_add, "of fingers; sealed: '-' if the card compares",
            (*_named("holder", "card", "name", "sealed"), _SINCE, _UNTIL),
        ),
        "list": _rows("enrolment"),
    },
    "no-finger": {
        "add": Typed(
            commands.no_finger_add, "without a usable finger; two people",
            (*_named("holder", "card", "name"), _UNTIL),
        ),
        "device": Typed(
            commands.no_finger_device, "for one-time codes; two people", _named("name")
        ),
    },
    "project": {
        "add": Typed(
            commands.project_add, "a project, pending; levels with commas",
            (*_named("project", "label"), ("levels", {"type": words}), *_PROJECT),
        ),
        "set": Typed(
            commands.project_set, "what else is true of it; a weaker policy: two people",
            (*_named("project"), *_texts("label"), _LEVELS, *_PROJECT),
        ),
        "open": Typed(commands.project_state("open"), "it may be entered", _named("project")),
        "suspend": Typed(
            commands.project_state("suspended"), "not now",
            (*_named("project"), *_texts("reason")),
        ),
        "close": Typed(
            commands.project_state("closed"), "not any more",
            (*_named("project"), *_texts("reason")),
        ),
        "list": _rows("project"),
    },
    "grant": {
        "add": Typed(commands.grant_add, "a member", (*_named("holder", "project"), *_GRANT)),
        "withdraw": Typed(commands.grant_withdraw, "no longer", _named("holder", "project")),
        "import": Typed(
            commands.grant_import, "members, CSV: holder, project, role, undertaking",
            _named("file"),
        ),
        "list": _rows("grant"),
    },
    "box": {
        "order": Typed(
            commands.box_order, "one that is to be; prints its one-time token",
            (*_named("box"), *_BOX, ("--days", {"type": int, "default": 30})),
        ),
        "answers": Typed(
            answering.box_answers, "the file that a machine becomes this box by; signed",
            (
                *_named("box", "template", "out"),
                ("--centre-anchors", {"type": Path, "required": True, "help": "PEM"}),
                ("--token-file", {"type": Path, "help": "else a line of standard input"}),
            ),
        ),
        "reports": _shows(lambda at: at.reports(), "what each said of itself as it was made"),
        "withdraw": Typed(commands.box_withdraw, "its token is void", _named("box")),
        "activate": Typed(
            commands.box_activate, "it works, with the keys that were read out at the box",
            (*_named("box"), ("--keys", {"required": True})),
        ),
        "add": Typed(
            commands.box_add, "one that was ordered: certificates, PEM",
            (*_named("box", "tls", "statement"), *_BOX),
        ),
        "place": Typed(commands.box_place, "it stands there and works", (*_named("box"), *_BOX)),
        "suspend": Typed(commands.box_state("suspended"), "no answer", _named("box")),
        "resume": Typed(commands.box_state("active"), "answered again", _named("box")),
        "retire": Typed(commands.box_state("retired"), "for good", _named("box")),
        "derogate": Typed(
            commands.box_derogate, "let in although it was moved or altered, until that day",
            (*_named("box"), _UNTIL),
        ),
        "hold": Typed(commands.box_hold, "its derogation ends now", _named("box")),
        "places": _shows(lambda at: at.places(), "whether each is where it was placed"),
        "derogations": _rows("derogation"),
        "health": _shows(lambda at: at.health(), "when each was last heard, and what it said"),
        "list": _rows("box"),
    },
    "session": {
        "end": Typed(commands.session_end, "now: BOX/SESSION", _named("session")),
        "list": _shows(lambda at: at.sessions(), "the live ones"),
    },
    "window": {
        "plan": Typed(
            commands.window, "maintenance, ten minutes at most; two people",
            (("from_s", {"type": utc, "metavar": "from"}), ("minutes", {"type": int})),
        ),
    },
    "acts": {
        "pending": _shows(lambda at: at.pending(), "what waits for a second person"),
        "confirm": Typed(
            lambda at, o: at.confirm(o.id), "sign what another proposed", _named("id"), acts=False
        ),
        "log": _shows(lambda at: at.log(), "every act, and who signed it"),
        "deliver": _shows(lambda at: at.deliver(), "hand the gateway what it may have missed"),
    },
}  # fmt: skip


def add_to(nouns: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Every verb, under its noun."""
    for noun, its_verbs in VERBS.items():
        parser = nouns.add_parser(noun, help=", ".join(its_verbs))
        subs = parser.add_subparsers(required=True, metavar="VERB")
        for name, typed in its_verbs.items():
            _add(subs.add_parser(name, help=typed.help, description=typed.help), typed)


def _add(parser: argparse.ArgumentParser, typed: Typed) -> None:
    parser.add_argument("--config", type=Path, required=True, help="api.toml")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--reader", help="where the card is, if several are in readers")
    parser.set_defaults(verb=typed.do, with_second=False)
    for name, how in typed.arguments:
        parser.add_argument(name, **how)
    if typed.acts:
        parser.add_argument("--motive", type=motive, required=True, help="why: it is written down")
        parser.add_argument(
            "--with-second", action="store_true", help="another's card signs, too, here and now"
        )
