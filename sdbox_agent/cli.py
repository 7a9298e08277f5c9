"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from sdbox_agent import __version__, boxcommand, errors, ipc, profilecommand
from sdbox_agent.audit import outbox
from sdbox_agent.audit.hashchain import ChainBroken
from sdbox_agent.boxcommand import FAILED, USAGE
from sdbox_agent.errors import SdboxError
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdbox_agent.boxcommand import Say

    Do = Callable[[argparse.Namespace], int | None]
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

try:  # the desk's and the developers': a box's package is without it
    from sdbox_agent.fingertool import options as fingeroptions
except ModuleNotFoundError:
    fingeroptions = None  # type: ignore[assignment]

HERE: Final = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    options.language = options.language or _own_language(options)
    try:
        return int(options.do(options) or 0)
    except SdboxError as error:
        if diagnosis := getattr(error, "diagnosis", ""):  # a file and line, a device and port
            _say(diagnosis, sys.stderr)
        return _fail(error, options)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sdbox-agent", description="The SD-Box.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--root", type=Path, default=Path("/"), help="where the box's files lie")
    parser.add_argument("--language", choices=errors.LANGUAGES, help="default: the box's own")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = _command(commands, "run", _run, "run the core (the service manager does this)")
    run.add_argument("--card-user", type=_uid, default=61002)
    run.add_argument("--finger-user", type=_uid, default=61003)
    run.add_argument("--tunnel-user", type=_uid, default=61004)
    run.add_argument("--watcher", type=_uid, action="append", default=[], help="who may watch")
    run.add_argument("--profiles", type=Path, default=HERE / "firmware_profiles")

    _command(commands, "status", _box(boxcommand.status), "what the box is doing")
    watch = _command(
        commands, "watch", _box(boxcommand.watch), "what the box is doing, as it changes"
    )
    watch.add_argument("--console", action="store_true", help="on the whole terminal, by keyboard")
    choose = _command(commands, "choose", _box(boxcommand.choose), "enter a project")
    choose.add_argument("project", type=_project)
    code = _command(
        commands, "code", _box(boxcommand.code), "give the one-time code the centre asks for"
    )
    code.add_argument(
        "code", type=boxcommand.one_time_code, nargs="?", help="else a line of standard input"
    )
    _command(commands, "cancel", _box(boxcommand.cancel), "give up this session")
    give = _command(commands, "pin", _box(boxcommand.pin), "give the card its PIN")
    give.add_argument("--stdin", action="store_true", help="the PIN is one line of standard input")
    give.add_argument("--last-try", action="store_true", help="even if the card has one try left")
    give.add_argument("--card-user", type=_uid, default=61002)
    give.add_argument("--prompt-user", type=_uid, default=61006, help="whom root becomes first")
    _command(commands, "explain", _explain, "what a code means and what to do").add_argument("code")
    text = "the record of what happened on this box"
    acts = commands.add_parser("audit", help=text, description=text)
    verify = _command(
        acts.add_subparsers(required=True, metavar="ACT"),
        "verify",
        _audit,
        "is it whole, unchanged?",
    )
    verify.add_argument("file", type=Path, nargs="?", help="default: this box's own")
    card = _command(commands, "card", _card, "the cards in the readers; no try is spent")
    card.add_argument("act", choices=["list", "show", "check"])
    card.add_argument("--reader", help="its name or a part of it; default: the one with a card")
    card.add_argument("--profiles", type=Path, default=HERE / "firmware_profiles")
    if fingeroptions is not None:
        fingeroptions.add(commands, _command, _finger)
    _add_setup(commands)
    _add_doctor(commands)
    _command(commands, "renew", _renew, "the box's certificate, when its time has come")
    _command(commands, "network-sheet", _network_sheet, "what the box asks of its network")
    profilecommand.add(commands, _command, _box)
    return parser


def _add_setup(commands: Commands) -> None:
    text = "make this machine a box by answers that staff signed, or unmake it; goes on if cut"
    setup = _command(commands, "setup", _setup, text)
    what = setup.add_mutually_exclusive_group(required=True)
    what.add_argument("--answers", type=Path, help="the file staff signed; FILE.sig lies beside it")
    what.add_argument("--retire", action="store_true", help="end, tell the centre, wipe")
    setup.add_argument("--anchor", help="SHA-256 of the staff's authority; else it is asked for")
    setup.add_argument("--dry-run", action="store_true", help="say the steps, change nothing")
    setup.add_argument(
        "--wait", type=int, default=3600, metavar="SECONDS", help="for staff's act, at most"
    )
    setup.add_argument("--profiles", type=Path, default=HERE / "firmware_profiles")


def _add_doctor(commands: Commands) -> None:
    text = (
        "is this machine fit to be a box, and whole? 0 yes, 1 warnings, 2 failures; needs no card"
    )
    doctor = _command(commands, "doctor", _doctor, text)
    doctor.add_argument("--live", action="store_true", help="--root is of a box that runs here")
    doctor.add_argument("--activation", action="store_true", help="what activation asks for alone")
    doctor.add_argument("--profiles", type=Path, default=HERE / "firmware_profiles")


def _command(commands: Commands, name: str, do: Do, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.add_argument("--json", action="store_true", help="for programs")
    command.add_argument(  # here too; what stands before the command holds if it does not
        "--language", choices=errors.LANGUAGES, default=argparse.SUPPRESS, help=argparse.SUPPRESS
    )
    command.set_defaults(do=do)
    return command


def _uid(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"no user {text!r}") from None


def _project(text: str) -> str:
    """A name the local socket takes: any other would only be told that the agent hung up."""
    if len(text) > ipc.MAX_TEXT or not text.isprintable():
        raise argparse.ArgumentTypeError("no project has such a name")
    return text


def _own_language(options: argparse.Namespace) -> str:
    """The box's, as box.toml says; where there is none, or a wrong one, French."""
    try:
        return load.load_box(Paths(options.root).config).language
    except FileRefused:
        return "fr"


def _say(text: str, stream: TextIO | None = None) -> None:
    try:
        print(text, file=stream or sys.stdout, flush=True)
    except BrokenPipeError:  # `sdbox-agent watch | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:  # it goes to a file that takes no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(f"sdbox-agent: {error.strerror}") from None


def _fail(error: SdboxError, options: argparse.Namespace) -> int:
    if getattr(options, "json", False):
        _say(msgspec.json.encode({"error": error.code}).decode())
    else:
        _say(errors.render(error.code, options.language), sys.stderr)
    return FAILED


# -- commands --------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> None:
    from sdbox_agent.daemon.run import Uids, run  # noqa: PLC0415  other commands start quicker

    watchers = frozenset({0, os.getuid(), *options.watcher})
    uids = Uids(options.card_user, options.finger_user, options.tunnel_user, watchers)
    run(Paths(options.root), options.profiles, uids)


def _box(act: Callable[[argparse.Namespace, Say], int | None]) -> Do:
    return lambda options: act(options, _say)


def _explain(options: argparse.Namespace) -> int:
    if options.code not in errors.table():
        _say(f"sdbox-agent: no code {options.code!r}", sys.stderr)
        return USAGE
    if options.json:
        _say(msgspec.json.encode(errors.as_json(options.code)).decode())
    else:
        _say(errors.render(options.code, options.language))
    return 0


def _audit(options: argparse.Namespace) -> int:
    """Exit 0 for an intact record; else say which line is wrong, and how."""
    path = options.file or Paths(options.root).state / outbox.NAME
    try:
        lines, broken = outbox.verify_file(path), None
    except ChainBroken as error:
        lines, broken = error.line, error.kind
    except OSError as error:
        _say(f"{path}: {error.strerror}", sys.stderr)
        return FAILED
    if options.json:
        _say(msgspec.json.encode({"file": str(path), "lines": lines, "broken": broken}).decode())
    elif broken:
        _say(f"{path}:{lines}: {broken}")
    else:
        _say(f"{path}: {lines} lines, none missing or changed")
    return FAILED if broken else 0


def _card(options: argparse.Namespace) -> int:
    from sdbox_agent import cardcommand  # noqa: PLC0415  other commands start quicker

    return cardcommand.ACTS[options.act](options, _say)


def _finger(options: argparse.Namespace) -> int:
    from sdbox_agent import fingercommand  # noqa: PLC0415  other commands start quicker

    return fingercommand.act(options, _say)


def _setup(options: argparse.Namespace) -> int:
    from sdbox_agent import setupcommand  # noqa: PLC0415  other commands start quicker

    return setupcommand.act(options, _say)


def _doctor(options: argparse.Namespace) -> int:
    from sdbox_agent import doctorcommand  # noqa: PLC0415  other commands start quicker

    return doctorcommand.act(options, _say)


def _renew(options: argparse.Namespace) -> None:
    from sdbox_agent import renewcommand  # noqa: PLC0415  other commands start quicker

    renewcommand.act(options, _say)


def _network_sheet(options: argparse.Namespace) -> int:
    from sdbox_agent import networkcommand  # noqa: PLC0415  other commands start quicker

    return networkcommand.act(options, _say)
