"""`sdbox-agent card list | show | check`: gather what each needs, print what it says [door]."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.daemon import published, settings
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.provision import cardcheck, cardtext

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sdbox_agent.card.token import Face
    from sdbox_agent.profile.schema import Profile

    Say = Callable[[str], None]


def list_readers(options: argparse.Namespace, say: Say) -> int:
    """Every reader. Raises Fault."""
    seen = cardcheck.readers()
    if options.json:
        say(msgspec.json.encode({"readers": seen}).decode())
    else:
        say("\n".join(cardtext.readers(seen, options.language)))
    return 0


def show(options: argparse.Namespace, say: Say) -> int:
    """What the card shows. Raises SdboxError."""
    seen, _, _ = _look(options)
    if options.json:
        say(msgspec.json.encode({"card": seen}).decode())
    else:
        say("\n".join(cardtext.card(seen, options.language)))
    return 0


def check(options: argparse.Namespace, say: Say) -> int:
    """0 if this box believes the card, else 1. Raises SdboxError."""
    seen, face, profile = _look(options)
    paths = Paths(options.root)
    by = cardcheck.Believes(
        anchors=settings.certificates(paths.config / "anchors/cards.pem"),
        crls=published.read(paths.crls),
        now=dt.datetime.now(dt.UTC),  # noqa: TID251  the door
        test_issuers=profile.card.test_issuers,
    )
    verdict = cardcheck.judge(face, by)
    if options.json:
        say(msgspec.json.encode({"card": seen, "verdict": verdict}).decode())
    else:
        say("\n".join(cardtext.card(seen, options.language)))
        say("\n".join(cardtext.verdict(verdict, options.language)))
    return 0 if verdict.believed else 1


def _look(options: argparse.Namespace) -> tuple[cardcheck.CardSeen, Face, Profile]:
    paths = Paths(options.root)
    whole = load.whole(load.load_box(paths.config).profile, paths, options.profiles)
    reader = cardcheck.choose(cardcheck.readers(), options.reader)
    face = cardcheck.look(reader, whole.kinds)
    return cardcheck.show(reader, face), face, whole.profile


ACTS: Final = {"list": list_readers, "show": show, "check": check}
