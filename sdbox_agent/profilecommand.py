"""`sdbox-agent profile list | show | check | detect | rules | install | revert` [door]."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from sdbox_agent.paths import Paths
from sdbox_agent.profile import detect, field, load, machine, sets
from sdbox_agent.profile.layers import DEFAULT
from sdbox_agent.profile.usbrules import UsbRules
from sdbox_agent.provision.setup.places import Places
from sdbox_agent.provision.setup.tree import RealTree
from sdbox_agent.provision.setup.usbmachine import UsbMachine
from sdbox_agent.provision.setup.usbruling import Ruled
from sdbox_agent.screen import printable, words
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from sdbox_agent.profile.detect import Fit
    from sdbox_agent.profile.load import Whole
    from sdbox_agent.profile.machine import Machine
    from sdbox_agent.profile.schema import Kind, Profile, Sensor

    Say = Callable[[str], None]
    Act = Callable[[argparse.Namespace, Say], int | None]
    Do = Callable[[argparse.Namespace], int | None]
    Make = Callable[..., argparse.ArgumentParser]
    Value = tuple[tuple[str, ...], object]
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

SHIPPED: Final = Path(__file__).resolve().parent.parent / "firmware_profiles"
FAILED: Final = 1


class Entry(msgspec.Struct, frozen=True):
    """A line of `list`."""

    name: str
    model: str
    revision: int
    levels: tuple[str, ...]
    sensor: str
    refused: str  # why no box in the field can have it, or what is wrong; "" if one can


def add(commands: Commands, command: Make, bind: Callable[[Act], Do]) -> None:
    """The command line's part. `command` makes one, `bind` gives an act what it prints with."""
    text = "models of box: what there is, what this one goes by, what is plugged in"
    group = commands.add_parser("profile", help=text, description=text)
    acts = group.add_subparsers(required=True, metavar="ACT")

    def act(name: str, do: Act, words: str) -> argparse.ArgumentParser:
        parser = command(acts, name, bind(do), words)
        parser.add_argument("--profiles", type=Path, default=SHIPPED)
        return parser

    act("list", list_profiles, "every profile there is")
    show_ = act("show", show, "a profile as this box has it, drop-ins laid over")
    show_.add_argument("name", nargs="?", help="default: this box's own")
    show_.add_argument("--origin", action="store_true", help="file and line of each value")
    check_ = act("check", check, "check a profile, or a kind in cards/ or sensors/")
    check_.add_argument("file", type=Path, nargs="?", help="default: all that this box goes by")
    act("detect", found, "which profiles are of this machine")
    rules_ = act("rules", rules, "udev's rules by which this box refuses USB devices")
    rules_.add_argument("--install", action="store_true", help="write them where udev reads them")
    install_ = act("install", install, "take a newer set of profiles, checked as a whole")
    install_.add_argument("directory", type=Path)
    act("revert", revert, "go back to the set before")


def list_profiles(options: argparse.Namespace, say: Say) -> int:
    """Each of them, and whether a box can have it; FAILED if one is wrong, which is told there."""
    directories = load.shelves(Paths(options.root), options.profiles)
    entries, status = [], 0
    for name in load.names(directories):
        try:
            profile = load.load_profile(name, directories)
            sensor = load.find_sensor(profile, directories)
        except FileRefused as error:
            entries.append(Entry(printable(name), "", 0, (), "", error.diagnosis))
            status = FAILED
            continue
        refused = _refused(profile, sensor, options.language)
        levels = tuple(profile.levels)
        about = (profile.model, profile.revision, levels, sensor.name, refused)
        entries.append(Entry(name, *about))
    if options.json:
        say(msgspec.json.encode({"profiles": entries}).decode())
        return status
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        why = f" -- {entry.refused}" if entry.refused else ""
        say(f"{entry.name:{width}}  r{entry.revision}  {entry.model}{why}")
    return status


def show(options: argparse.Namespace, say: Say) -> int:
    """One profile, key by key. Raises FileRefused."""
    whole = _whole(options, options.name)
    values = list(_values(msgspec.to_builtins(whole.profile)))
    origins = {keys: str(whole.layered.origin(keys)) for keys, _ in values}
    given = whole.layered.origins
    if options.json:
        document: dict[str, object] = {"profile": whole.profile, "sensor": whole.sensor}
        if options.origin:
            document["origins"] = {
                ".".join(keys): origins[keys] if keys in given else DEFAULT for keys in origins
            }
        say(msgspec.json.encode(document).decode())
        return 0
    for keys, value in values:
        origin = origins[keys] if keys in given else DEFAULT
        line = f"{'.'.join(keys)} = {msgspec.json.encode(value).decode()}"
        say(f"{line}  # {origin}" if options.origin else line)
    return 0


def check(options: argparse.Namespace, say: Say) -> int:
    """0, or FileRefused with file, line and what to write there."""
    value: Profile | Kind | Sensor
    if options.file is None:
        value = _whole(options, None).profile
        name = value.name
    else:
        value = load.check(options.file, load.shelves(Paths(options.root), options.profiles))
        name = str(options.file)
    if options.json:
        say(msgspec.json.encode(value).decode())
    else:
        say(f"{name}: {value.model}")
    return 0


def found(options: argparse.Namespace, say: Say) -> int:
    """0 if at least one profile is of this machine, with all it needs plugged in."""
    paths = Paths(options.root)
    here = machine.look(paths.root)
    directories = load.shelves(paths, options.profiles)
    real = (
        pair for pair in _all(directories) if not pair[1].driver.startswith(field.VIRTUAL_DRIVER)
    )
    fits = detect.fits(real, here)
    matches = [fit.profile for fit in fits if fit.fits]
    if options.json:
        say(msgspec.json.encode({"machine": here, "fits": matches, "profiles": fits}).decode())
    else:
        for line in _told(here, fits, options.language):
            say(line)
    return 0 if matches else FAILED


def rules(options: argparse.Namespace, say: Say) -> int:
    """This box's rules, printed; or written as a whole, and obeyed where udev rules.

    Raises FileRefused; Fault: usb-in-use, usb-rules-idle.
    """
    whole = _whole(options, None)
    rules = UsbRules(whole.profile, whole.sensor)
    if not options.install:
        text = rules.text
        say(msgspec.json.encode({"rules": text}).decode() if options.json else text.rstrip("\n"))
        return 0
    usb = UsbMachine(options.root)
    path = Paths(options.root).usb_rules
    step = Ruled(RealTree(options.root), Places(root=os.geteuid()), lambda: rules, usb)
    try:
        if not step.holds():
            step.act()
    except OSError as error:
        raise _told_of(error, path) from None
    if options.json:
        say(msgspec.json.encode({"path": str(path), "in_force": usb.governed}).decode())
    else:
        since = "rules-in-force" if usb.governed else "rules-at-start"
        say(f"{path}: {words('profile', since, options.language)}")
    return 0


def install(options: argparse.Namespace, say: Say) -> int:
    """Take a set. Raises FileRefused; then what was there is still there."""
    paths = Paths(options.root)
    fits = functools.partial(_fits, options)
    try:
        sets.install(options.directory, paths.profile_set, options.profiles, fits)
    except OSError as error:
        raise _told_of(error, paths.profile_set) from None
    return _say_version(options, say)


def revert(options: argparse.Namespace, say: Say) -> int:
    """Go back one set. Raises FileRefused if there is none that is whole, or fits this box."""
    installed = Paths(options.root).profile_set
    try:
        sets.revert(installed, functools.partial(_fits, options))
    except OSError as error:
        raise _told_of(error, installed) from None
    return _say_version(options, say)


def _fits(options: argparse.Namespace, installed: Path) -> None:
    """This box, if it is one yet, could run with that as its installed set. Raises FileRefused."""
    paths = Paths(options.root)
    if (paths.config / load.BOX_FILE).exists():
        name = load.load_box(paths.config).profile
        load.whole(name, paths, options.profiles, installed=installed)


def _all(directories: tuple[Path, ...]) -> Iterator[tuple[Profile, Sensor]]:
    for name in load.names(directories):
        profile = load.load_profile(name, directories)
        yield profile, load.find_sensor(profile, directories)


def _refused(profile: Profile, sensor: Sensor, language: str) -> str:
    for keys, name in field.objections(profile, sensor):
        return f"{'.'.join(keys)}: {words('profile', name, language)}"
    return "" if sensor.ppmm else f"{sensor.name}: {words('profile', 'no-resolution', language)}"


def _whole(options: argparse.Namespace, name: str | None) -> Whole:
    paths = Paths(options.root)
    return load.whole(name or load.load_box(paths.config).profile, paths, options.profiles)


def _values(table: dict[str, object], above: tuple[str, ...] = ()) -> Iterator[Value]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _values(value, (*above, key))
        else:
            yield (*above, key), value


def _told(here: Machine, fits: Sequence[Fit], language: str) -> Iterator[str]:
    def said(name: str) -> str:
        return words("profile", name, language)

    matches = [fit for fit in fits if fit.fits]
    plugged = ", ".join(here.usb) or said("nothing-plugged")
    yield f"{said('here')}: {here.name or said('no-name')}; USB: {plugged}"
    if not matches:
        yield f"{said('no-match')}:"
    for fit in matches or fits[:3]:
        yield f"{fit.profile}: {', '.join(map(said, _missing(fit))) or said('fits')}"
        yield from (f"  {said(name)}" for name in fit.differs if fit.board)
        if fit.fits and fit.foreign:
            yield f"  {said('foreign')}: {', '.join(fit.foreign)}"


def _missing(fit: Fit) -> Iterator[str]:
    for there, name in (
        (fit.board, "other-board"),
        (fit.reader, "no-reader"),
        (fit.sensor, "no-sensor"),
        (fit.usable, "no-resolution"),
    ):
        if not there:
            yield name


def _told_of(error: OSError, path: Path) -> FileRefused:
    reason = f"{error.strerror or 'failed'}; nothing was changed"
    return FileRefused("profile-invalid", str(path), 0, reason)


def _say_version(options: argparse.Namespace, say: Say) -> int:
    """Of the set that counts now: the installed one, or the program's own if that is newer."""
    installed = Paths(options.root).profile_set
    number = sets.version(sets.newest_first(installed, options.profiles)[0])
    if options.json:
        say(msgspec.json.encode({"version": number}).decode())
    else:
        version, later = (
            words("profile", name, options.language) for name in ("version", "next-start")
        )
        say(f"{version} {number}; {later}")
    return 0
