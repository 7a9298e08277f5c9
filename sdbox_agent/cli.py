"""The command line: parse, call, print."""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from sdbox_agent import __version__, errors, ipc, prompt, screen
from sdbox_agent.audit import outbox
from sdbox_agent.audit.hashchain import ChainBroken
from sdbox_agent.card import pinframe
from sdbox_agent.card.pinframe import Status
from sdbox_agent.daemon import view
from sdbox_agent.errors import Bug, DecodeError, Fault, SdboxError
from sdbox_agent.fingertool import options as fingeroptions
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

HERE: Final = Path(__file__).resolve().parent.parent
FAILED, USAGE = 1, 2
_UNREACHABLE: Final = (
    ConnectionError, FileNotFoundError, NotADirectoryError, PermissionError,
    TimeoutError, BlockingIOError,
)  # fmt: skip
ANSWER_S: Final = 3.0  # the core's loop answers in milliseconds, or hangs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    options.language = options.language or _own_language(options)
    try:
        return int(options.do(options) or 0)
    except FileRefused as error:
        _say(error.diagnosis, sys.stderr)
        return _fail(error, options)
    except SdboxError as error:
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

    _command(commands, "status", _status, "what the box is doing")
    _command(commands, "watch", _watch, "what the box is doing, as it changes")
    choose = _command(commands, "choose", _choose, "enter a project")
    choose.add_argument("project", type=_project)
    code = _command(commands, "code", _code, "give the one-time code the centre asks for")
    code.add_argument("code", type=_one_time_code, nargs="?", help="else a line of standard input")
    _command(commands, "cancel", _cancel, "give up this session")
    give = _command(commands, "pin", _pin, "give the card its PIN")
    give.add_argument("--stdin", action="store_true", help="the PIN is one line of standard input")
    give.add_argument("--last-try", action="store_true", help="even if the card has one try left")
    give.add_argument("--card-user", type=_uid, default=61002)
    give.add_argument("--prompt-user", type=_uid, default=61006, help="whom root becomes first")
    explain = _command(commands, "explain", _explain, "what a code means and what to do")
    explain.add_argument("code")
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
    fingeroptions.add(commands, _command, _finger)
    text = "check a profile, or a kind in cards/ or sensors/"
    profile = _command(commands, "profile", _profile, text)
    profile.add_argument("act", choices=["check"])
    profile.add_argument("file", type=Path)
    profile.add_argument("--profiles", type=Path, default=HERE / "firmware_profiles")
    return parser


def _command(
    commands: Commands, name: str, do: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
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


def _one_time_code(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 6 <= len(text) <= 8):
        raise argparse.ArgumentTypeError("a one-time code has 6 to 8 digits")
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


def _fail(error: SdboxError, options: argparse.Namespace) -> int:
    if getattr(options, "json", False):
        _say(msgspec.json.encode({"error": error.code}).decode())
    else:
        _say(errors.render(error.code, options.language), sys.stderr)
    return FAILED


# -- the core --------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> None:
    from sdbox_agent.daemon.run import Uids, run  # noqa: PLC0415  other commands start quicker

    watchers = frozenset({0, os.getuid(), *options.watcher})
    uids = Uids(options.card_user, options.finger_user, options.tunnel_user, watchers)
    run(Paths(options.root), options.profiles, uids)


@contextlib.contextmanager
def _box(options: argparse.Namespace) -> Iterator[ipc.Channel[ipc.Message]]:
    """The running core. Its uid is the socket's owner: nobody else may write in its directory."""
    path = Paths(options.root).agent_socket
    try:
        box: ipc.Channel[ipc.Message] = ipc.connect(
            path, view.FromBox, path.stat().st_uid, timeout_s=ANSWER_S
        )
        with contextlib.closing(box):
            yield box
    except _UNREACHABLE:
        raise Fault("agent-unreachable") from None
    except DecodeError:
        raise Bug("worker-protocol") from None


def _ask(box: ipc.Channel[ipc.Message], message: ipc.Message) -> ipc.Message:
    """Say it; the answer. Who is turned away finds the reason behind the end of the connection."""
    with contextlib.suppress(ipc.Closed):
        box.send(message)
    try:
        return _receive(box)
    except ipc.Closed:  # told first, and once, where what we said was not read
        return _receive(box)


def _receive(box: ipc.Channel[ipc.Message]) -> ipc.Message:
    """Its next word. Raises what it refuses us."""
    answer = box.receive()
    if isinstance(answer, view.NotTaken):
        raise errors.error(answer.code)
    return answer


def _status(options: argparse.Namespace) -> None:
    with _box(options) as box:
        _print_view(_ask(box, view.AskStatus()), options)


def _watch(options: argparse.Namespace) -> None:
    with _box(options) as box:
        _print_view(_ask(box, view.WatchBox()), options)
        box.sock.settimeout(None)  # the next change may be tomorrow
        while True:
            _print_view(_receive(box), options)


def _choose(options: argparse.Namespace) -> None:
    _tell(options, view.ChooseProject(project=options.project))


def _code(options: argparse.Namespace) -> None:
    """A code is of use once, and only with the card and its PIN; typed, it is in no history."""
    try:
        code = options.code or _one_time_code(sys.stdin.readline().strip())
    except argparse.ArgumentTypeError as error:
        _say(f"sdbox-agent: {error}", sys.stderr)
        raise SystemExit(USAGE) from None
    _tell(options, view.EnterCode(code=code))


def _cancel(options: argparse.Namespace) -> None:
    _tell(options, view.CancelSession())


def _tell(options: argparse.Namespace, message: ipc.Message) -> None:
    with _box(options) as box:
        answer = _ask(box, message)
    if options.json:
        _say(msgspec.json.encode(answer).decode())


_PIN_CODES: Final = {
    Status.WRONG: "pin-wrong",
    Status.BLOCKED: "card-blocked",
    Status.NOT_NOW: "not-allowed",
    Status.LAST_TRY: "pin-last-try",
    Status.MALFORMED: "pin-malformed",
}


def _pin(options: argparse.Namespace) -> int | None:
    """The core says for which session; the digits go to the card worker and nowhere else."""
    shown = _waiting_for_a_pin(options)
    keyboard = sys.stdin.fileno()
    if not options.stdin and not os.isatty(keyboard):
        _say("sdbox-agent: no terminal to enter a PIN at; see --stdin", sys.stderr)
        return USAGE
    path = Paths(options.root).pin_socket
    prompt.become(options.prompt_user, path)
    last = _agrees_to_the_last_try(shown, keyboard, options)
    try:
        request = prompt.read_digits(keyboard)
    except DecodeError:
        raise errors.error("pin-malformed") from None
    pinframe.write_head(request, shown.n, last=last)
    try:
        status, left = prompt.give(path, options.card_user, request)
    except DecodeError:
        raise Bug("worker-protocol") from None
    if options.json:
        _say(msgspec.json.encode({"status": status.name.lower(), "pin_left": left}).decode())
        return FAILED if status in _PIN_CODES else None
    if status in _PIN_CODES:
        if left is not None:
            _say_tries(left, options)
        raise errors.error(_PIN_CODES[status])
    _say(screen.words("prompt", "accepted", options.language))
    return None


def _waiting_for_a_pin(options: argparse.Namespace) -> view.View:
    with _box(options) as box:
        shown = _ask(box, view.AskStatus())
    if not isinstance(shown, view.View):
        raise DecodeError("not a view")
    if shown.state != "pinentry":
        raise errors.error("not-allowed")
    if shown.code == "enter-pin-on-pad":
        raise errors.error("enter-pin-on-pad")
    return shown


def _agrees_to_the_last_try(shown: view.View, keyboard: int, options: argparse.Namespace) -> bool:
    """Say what is left; whether the last try may be spent. Raises AskAgain if it may not."""
    _say_tries(shown.pin_left, options)
    agrees = bool(options.last_try)
    if shown.pin_left == 1 and not agrees:
        if not options.stdin:
            _say(errors.render("pin-last-try", options.language), sys.stderr)
            _say(screen.words("prompt", "last-try", options.language), sys.stderr)
            agrees = prompt.says_yes(keyboard)
        if not agrees:
            raise errors.error("pin-last-try")
    if not options.stdin:
        _say(screen.words("state", "pinentry", options.language), sys.stderr)
    return agrees


def _say_tries(left: int | None, options: argparse.Namespace) -> None:
    _say(f"{screen.words('detail', 'pin_left', options.language)}: {left}", sys.stderr)


def _print_view(shown: ipc.Message, options: argparse.Namespace) -> None:
    if options.json:
        _say(msgspec.json.encode(shown).decode())
        return
    if not isinstance(shown, view.View):
        raise DecodeError("not a view")
    language = options.language
    _say(f"[{shown.n}] {screen.words('state', shown.state, language)}")
    details = [
        f"{screen.words('detail', name, language)}: {value}"
        for name, value in _details(shown)
        if value is not None
    ]
    if details:
        _say("    " + ", ".join(details))
    for project in shown.projects:
        refused = ""
        if project.code:
            refused = errors.explain(errors.code_shown(project.code)).sentence[language]
        _say(f"    {project.project}  {project.label}  {refused}".rstrip())
    for code in filter(errors.table().get, (shown.code or "", *shown.notices)):
        _say("    " + errors.render(code, language))


def _details(shown: view.View) -> tuple[tuple[str, object], ...]:
    names = (
        "level", "project", "attempts_left", "pin_left", "finger", "expires_in_days",
        "handshake_ms", "vm_ms",
    )  # fmt: skip
    return tuple((name, getattr(shown, name)) for name in names)


# -- files and codes -------------------------------------------------------------------------------


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


def _profile(options: argparse.Namespace) -> None:
    """Errors name file and line (FileRefused)."""
    found = load.check(options.file, (options.profiles,))
    if options.json:
        _say(msgspec.json.encode(found).decode())
    else:
        _say(f"{options.file}: {found.model}")
