"""`sdbox-agent doctor`: is this machine fit to be a box, and whole? [door] for the clock.

Exit status, for monitoring: 0 all well, 1 warnings, 2 failures. What could not be looked at is
said and does not count, but for activation (`--activation`), which is refused over it (status 2).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent import boxcommand
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.provision.doctor import finding
from sdbox_agent.provision.doctor.examine import Examination, for_activation
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.parts import Answer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def act(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Look, print, and say by the exit status how it is."""
    live = options.live or options.root == Path("/")
    now = dt.datetime.now(dt.UTC)  # noqa: TID251  a door
    look = Look(options.root.absolute(), live)
    if options.activation:
        findings = for_activation(look, now, options.profiles)
    else:
        findings = Examination(look, now, options.profiles, ask=_answer).findings()
    if options.json:
        say(finding.as_json(findings).decode())
    else:
        say("\n".join(finding.text(findings, options.language)))
    status = finding.STATUS[finding.worst(findings)]
    if options.activation:
        try:
            finding.permit_activation(findings)
        except Fault:
            status = finding.STATUS[finding.Result.FAILED]
    return status


def _answer(root: Path) -> Answer:
    """What the running core says. Raises Fault, Bug; PermissionError if it tells us nothing."""
    try:
        shown = boxcommand.seen(root)
    except Refused:
        raise PermissionError from None
    if shown.link is None:
        return Answer(shown.state, None)
    return Answer(shown.state, None if shown.link.up else shown.link.code or "centre-unreachable")
