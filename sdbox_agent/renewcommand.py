"""`sdbox-agent renew`: the box's TLS certificate, when its time has come [door] for the clock.

Its timer asks every day; whoever is asked sooner says until when it holds, and that is all.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from sdbox_agent import screen
from sdbox_agent.daemon import settings
from sdbox_agent.identity import renewal
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def act(options: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Renew, or not yet; say which. Raises SdboxError."""
    config = Paths(options.root).config
    box = load.load_box(config)
    now = dt.datetime.now(dt.UTC)  # noqa: TID251  a door
    standing = renewal.renew(config, settings.where_of(box), box.box, now)
    until = None if standing.until is None else f"{standing.until:%Y-%m-%d}"
    if options.json:
        said = {"renewed": standing.renewed, "until": until, "learned": standing.learned}
        say(msgspec.json.encode(said).decode())
    elif until is None:
        say(screen.words("renewal", "in-memory", options.language))
    else:
        name = "renewed" if standing.renewed else "not-yet"
        say(f"{screen.words('renewal', name, options.language)} {until}")
