"""`make hil-real PROFILE=NAME`: the rig's scenarios with the hardware of that profile.

The centre, the networks and the box's own processes are the rig's; the reader, the card and the
sensor are what is plugged in, and a person is told what to do. Writes build/hil-real/NAME.json and
.md. Exit status: 0 all played scenarios passed, 1 one failed, 2 nothing could be played.

With the profile `virtual` the rig's own hands play the person: the same code, as a test of it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hil.box import FINGER_UID
from hil.real import hardware as plugged
from hil.real import report as reports
from hil.real import usb
from hil.real.enrol import enrol
from hil.real.person import Person
from hil.real.report import Report, Result
from hil.real.scenarios import SCENARIOS
from hil.real.stage import Skipped, Stage
from hil.rig import Rig
from sdbox_agent.card import pcsc
from sdbox_agent.errors import SdboxError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.issuing import Holder
    from hil.real.hardware import Hardware
    from hil.real.robot import VirtualHands

OUT: Final = Path(__file__).resolve().parents[2] / "build/hil-real"
PATIENCE_S: Final = 90.0
KEY_BYTES: Final = 32  # AES-256, which the desk writes cards with
_RIG: Final = "# The rig's authorities issue for tests.\n[card]\ntest_issuers = true\n"


def main(argv: Sequence[str] | None = None) -> int:
    """See above."""
    options = _parser().parse_args(argv)
    try:
        hardware = plugged.found(options.profile, own=options.own)
        if not hardware.is_virtual:
            usb.refuse_a_busy_reader()
        key = _key(options.management_key_file, virtual=hardware.is_virtual)
    except (plugged.NotThere, OSError) as error:
        print(f"hil-real: {error}", file=sys.stderr)
        return 2
    chosen = [name for name in SCENARIOS if not options.only or name in options.only]
    person = Person(options.language, lambda line: print(line, flush=True), sys.stdin.fileno())
    report = Report(
        profile=hardware.profile.name,
        revision=hardware.profile.revision,
        utc=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        hands="the rig's" if hardware.is_virtual else "a person's",
        hardware={},
        versions=plugged.versions(),
    )
    person.tell("begin", profile=report.profile, count=len(chosen) + 1)
    _play(hardware, person, report, chosen, key, options)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{report.profile}.json"
    path.write_text(reports.as_json(report))
    path.with_suffix(".md").write_text(reports.as_page(report))
    person.tell("end", path=path.with_suffix(".md"))
    if all(one.verdict == "skipped" for one in report.results):
        return 2
    return 0 if report.good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hil.real")
    parser.add_argument("profile", help="one of firmware_profiles/, or virtual")
    parser.add_argument("--language", choices=("fr", "en"), default="fr")
    parser.add_argument("--only", action="append", choices=tuple(SCENARIOS), metavar="SCENARIO")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="SECONDS")
    parser.add_argument("--management-key-file", type=Path, help="of the test card: 64 hex digits")
    parser.add_argument("--own", type=Path, help="profiles, sensors/ and cards/ that count first")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser


def _key(path: Path | None, *, virtual: bool) -> bytes:
    """Of the test card. Raises NotThere, OSError."""
    if virtual:
        return secrets.token_bytes(KEY_BYTES)
    if path is None:
        raise plugged.NotThere("--management-key-file: the test card's AES-256 key (9B), in hex")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise plugged.NotThere(f"{path}: not {KEY_BYTES} bytes in hex")
    return key


def _play(
    hardware: Hardware,
    person: Person,
    report: Report,
    chosen: Sequence[str],
    key: bytes,
    options: argparse.Namespace,
) -> None:
    patience_s: float = options.patience
    with contextlib.ExitStack() as stack:
        if not hardware.is_virtual:
            stack.enter_context(usb.sensor_access(hardware.sensor.usb, FINGER_UID))
        rig = stack.enter_context(_rig(hardware))
        if options.own is not None:
            shutil.copytree(options.own, rig.box.paths.config / "profiles", dirs_exist_ok=True)
        robot = _robot(rig, key) if hardware.is_virtual else None
        report.hardware = hardware.facts()
        count = len(chosen) + 1
        person.tell("scenario", number=1, count=count, title=person.phrase("title-enrolment"))
        result, holder = _enrolled(hardware, rig, person, robot, key, patience_s)
        report.results.append(result)
        person.tell(result.verdict, reason=result.reason)
        if holder is None:
            report.results += [Result(name, "skipped", "no card was enrolled") for name in chosen]
            return
        rig.centre.add_holder(holder, ("p-alpha",))
        _settle(robot, patience_s, person)
        if robot is not None:
            robot.at_the_box(rig.box.sensor_socket)
        rig.start()
        stage = Stage(rig, person, robot, patience_s)
        for number, name in enumerate(chosen, 2):
            title = person.phrase(f"title-{name}")
            person.tell("scenario", number=number, count=count, title=title)
            if name == "revoked-card":
                rig.issuing.revoke(holder.certificates.auth)
                rig.centre.publish_crl()
            report.results.append(stage.play(name, SCENARIOS[name]))


def _rig(hardware: Hardware) -> Rig:
    """With that hardware instead of the virtual; the box goes by its profile."""
    if hardware.is_virtual:
        return Rig(readers=1)
    return Rig(pcscd=usb.UsbPcscd, profile=hardware.profile.name, drop_in=_RIG)


def _robot(rig: Rig, key: bytes) -> VirtualHands:
    from hil.card.card import PivCard  # noqa: PLC0415  only for virtual hardware
    from hil.finger import Person as Grown  # noqa: PLC0415
    from hil.real.robot import VirtualHands  # noqa: PLC0415

    os.environ |= rig.pcscd.environment  # libpcsclite reads it at its first call, once
    socket = rig.root / "desk.sock"
    os.environ["FP_VIRTUAL_IMAGE"] = str(socket)
    card = PivCard.create(factory=True, admin_key=key, pin_policy="never")
    return VirtualHands(card, Grown(1), rig.pcscd.reader(0), socket)


def _enrolled(
    hardware: Hardware,
    rig: Rig,
    person: Person,
    robot: VirtualHands | None,
    key: bytes,
    patience_s: float,
) -> tuple[Result, Holder | None]:
    result, holder = Result("enrolment"), None
    begun_s = time.monotonic()
    try:
        holder = enrol(hardware, rig.issuing, person, robot, key, patience_s)
    except Skipped as skipped:
        result.verdict, result.reason = "skipped", str(skipped)
    except SdboxError as error:
        result.verdict, result.reason = "failed", error.code
    result.seconds = round(time.monotonic() - begun_s, 2)
    return result, holder


def _settle(robot: VirtualHands | None, patience_s: float, person: Person) -> None:
    """The card out, before the box starts: only one that goes in begins a session."""
    person.tell("remove-card")
    if robot is not None:
        robot.perform("remove-card")
    end_s = time.monotonic() + patience_s
    while any(look.present for look, _ in pcsc.look_now()) and time.monotonic() < end_s:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
