"""`sdbox-agent setup --answers FILE | --retire`: a fresh Debian made a box, or a box unmade [door].

Every run says each step and how it ended; run again, it goes on where it was cut, and on a finished
box changes nothing. Exit status: 0 all steps hold, 1 one failed (the last line says what to do).
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from sdbox_agent import errors, screen
from sdbox_agent.errors import Fault
from sdbox_agent.identity import place, surroundings, tpmfile
from sdbox_agent.identity.machine import facts
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.profile.toml import TomlRefused
from sdbox_agent.provision.doctor.examine import Examination
from sdbox_agent.provision.doctor.finding import ACTIVATION
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.parts import EARLIEST_UTC_S
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import measuring, signature, step
from sdbox_agent.provision.setup.asking import Asking
from sdbox_agent.provision.setup.enrolling import Certified, Keyed
from sdbox_agent.provision.setup.fitness import Fit, Hardened
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_agent.provision.setup.machine import Machine, Models
from sdbox_agent.provision.setup.places import Places
from sdbox_agent.provision.setup.retiring import Destroyed, Said, Stopped
from sdbox_agent.provision.setup.service import (
    Activated,
    Remembering,
    Reported,
    Started,
    Waiting,
)
from sdbox_agent.provision.setup.settling import Believed, Chosen, Given, Settled, held
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import RealTree, read
from sdbox_agent.provision.setup.usbmachine import UsbMachine
from sdbox_agent.provision.setup.usbruling import Ruled, Unruled
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from sdbox_agent.centre.wire import ReportRequest
    from sdbox_agent.identity.place import Facts
    from sdbox_agent.identity.tpm import Tpm
    from sdbox_agent.provision.doctor.finding import Finding
    from sdbox_agent.provision.setup.answers import Answers
    from sdbox_agent.provision.setup.ports import KeyMaker
    from sdbox_agent.provision.setup.step import Step
    from sdbox_agent.provision.setup.tree import Tree
    from sdbox_agent.state.counter import Counter
    from sdbox_agent.state.record import Known

    Say = Callable[[str], None]

FAILED: Final = 1


def act(options: argparse.Namespace, say: Say) -> int:
    """Run the steps, and say each."""
    if os.geteuid() != 0:
        raise Fault("needs-root")
    os.umask(0o022)
    root = options.root.absolute()
    places = Places()
    steps = retirement(root, places) if options.retire else setup(root, places, options, say)
    failed = False
    for told in step.run(steps, dry=options.dry_run):
        failed |= told.result is Result.FAILED
        if options.json:
            say(step.as_json(told).decode())
        else:
            say("\n".join(step.text(told, options.language)))
    return FAILED if failed else 0


def retirement(root: Path, places: Places) -> Sequence[Step]:
    """The steps that unmake a box."""
    tree, now = RealTree(root), _now()
    box, paths = held(tree, places), Paths(root)
    chip = _chip(paths)
    centre = None if box is None else Asking(paths, box.centre, now, places.core, chip)
    return (
        Stopped(Machine(root)),
        Said(tree, places, box, centre),
        Destroyed(tree, places, "identity"),
        Destroyed(tree, places, "state"),
        Unruled(tree, places, UsbMachine(root)),
        Destroyed(tree, places, "config"),
    )


def setup(root: Path, places: Places, options: argparse.Namespace, say: Say) -> Sequence[Step]:
    """The steps that make a box. Raises FileRefused for answers that can't be read, Refused."""
    tree, paths, now = RealTree(root), Paths(root), _now()
    if now.timestamp() < EARLIEST_UTC_S:
        raise Fault("clock-unset")
    given = _given(options, tree, places)
    answers = given.answers
    machine, models = Machine(root), Models(paths, options.profiles)
    chip = _chip(paths)
    centre = Asking(paths, answers.centre, now, places.core, chip)
    rig = load.is_rig(paths)
    chosen = Chosen(tree, places, answers, models)
    hardened = Hardened(tree, places, machine)
    fit = Fit(_Doctor(root, answers, options.profiles), hardened, options.language)
    keyed = Keyed(tree, places, _keys(chip))
    made = _Report(answers, chosen, keyed, models)
    anchor = paths.config / "anchors/centre.pem"
    reported = Reported(tree, places, centre, made, partial(measuring.network, answers, anchor))
    around = partial(_around, paths, options.profiles, chosen)
    waiting = Waiting(options.wait, time.monotonic, time.sleep, _teller(options, say))
    return (
        Believed(tree, places, given, now, rig),
        hardened,
        fit,
        chosen,
        Settled(tree, places, answers, chosen),
        keyed,
        Certified(tree, places, keyed, answers, centre, now),
        reported,
        Remembering(tree, places, partial(_first, root, chip, around)),
        Ruled(tree, places, lambda: models.usb(chosen.profile()), UsbMachine(root)),
        Started(machine),
        Activated(tree, places, answers, centre, reported.whole, fit, waiting),
    )


def _chip(paths: Paths) -> Tpm | None:
    """The machine's TPM; a box stays as it was made, with one or without, whatever is there now."""
    identity = paths.config / "identity"
    if (identity / "statement.key").exists():
        return None
    if not paths.tpm.exists() and not (identity / tpmfile.FILE).exists():
        return None
    from sdbox_agent.identity.tpm import Tpm  # noqa: PLC0415  a library of 15 MB

    return Tpm(paths.tpm)


def _keys(chip: Tpm | None) -> KeyMaker:
    if chip is None:
        return FileKeys(lambda: ec.generate_private_key(ec.SECP256R1()))
    from sdbox_agent.provision.setup.chipmaking import ChipKeys  # noqa: PLC0415  as in `_chip`

    return ChipKeys(chip)


def _around(paths: Paths, profiles: Path, chosen: Chosen) -> Facts:
    """What stands around: the centre was just asked by way of the gateway, if there is one."""
    whole = load.whole(chosen.profile(), paths, profiles)
    return surroundings.facts(paths.root, whole.profile.reader.usb, whole.sensor.usb)


def _first(
    root: Path, chip: Tpm | None, around: Callable[[], Facts]
) -> tuple[Counter | None, Known]:
    """What the first record is held against: the chip's counter, and what machine stands where."""
    salt = secrets.token_bytes(place.SALT_BYTES)
    known = place.remember({**facts(root), **around()}, salt)
    if chip is None:
        return None, known
    from sdbox_agent.identity.tpmcounter import TpmCounter  # noqa: PLC0415  as in `_chip`

    counter = TpmCounter(chip)
    counter.make()
    return counter, known


@dataclass(frozen=True, slots=True)
class _Doctor:
    """The checks of activation, as they are when they are asked for."""

    root: Path
    answers: Answers
    profiles: Path

    def __call__(self) -> tuple[Finding, ...]:
        look = Look(self.root, self.root == Path("/"))
        policy = self.answers.disk.unencrypted
        return Examination(look, _now(), self.profiles, unencrypted=policy).findings(ACTIVATION)


@dataclass(frozen=True, slots=True)
class _Report:
    """What the centre is told, of what lies on the disk then."""

    answers: Answers
    chosen: Chosen
    keyed: Keyed
    models: Models

    def __call__(self) -> ReportRequest:
        profile = self.chosen.profile()
        return self.models.report(self.answers.box, profile, self.keyed.shown())


def _given(options: argparse.Namespace, tree: Tree, places: Places) -> Given:
    """The answers and their signature, and the anchor if it is not pinned yet."""
    raw = _file(options.answers)
    try:
        answers = answering.parse(raw)
    except TomlRefused as error:
        path = str(options.answers)
        raise FileRefused("answers-invalid", path, error.line, error.reason) from None
    detached = _file(options.answers.with_name(options.answers.name + signature.SUFFIX))
    typed = options.anchor
    if typed is None and read(tree, places.anchors, "staff.pem") is None:
        typed = _asked(options)
    return Given(raw, answers, detached, None if typed is None else signature.parse_typed(typed))


def _asked(options: argparse.Namespace) -> str | None:
    """A line of standard input; None where nobody gave one."""
    if sys.stdin.isatty():
        words = screen.words("setup", "anchor-please", options.language)
        print(words, end=" ", file=sys.stderr, flush=True)  # noqa: T201
    try:
        return sys.stdin.readline(256).strip() or None
    except UnicodeDecodeError:
        raise errors.error("anchor-malformed") from None


def _file(path: Path) -> bytes:
    """Raises FileRefused("answers-invalid")."""
    try:
        with path.open("rb") as file:
            return file.read(answering.MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "can't be read"
        raise FileRefused("answers-invalid", str(path), 0, reason) from None


def _teller(options: argparse.Namespace, say: Say) -> Callable[[str], None]:
    def tell(code: str) -> None:
        if not options.json:
            say(f"       {errors.render(code, options.language)}")

    return tell


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # noqa: TID251  a door
