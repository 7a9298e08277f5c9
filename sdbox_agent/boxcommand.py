"""`sdbox-agent status | watch | choose | code | cancel | pin`: what speaks to the running core."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

import msgspec

from sdbox_agent import errors, ipc, prompt, screen
from sdbox_agent.card import pinframe
from sdbox_agent.card.pinframe import Status
from sdbox_agent.console import tty
from sdbox_agent.console.run import Console
from sdbox_agent.daemon import view
from sdbox_agent.errors import Bug, DecodeError, Fault
from sdbox_agent.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAILED, USAGE = 1, 2
_UNREACHABLE: Final = (
    ConnectionError, FileNotFoundError, NotADirectoryError, PermissionError,
    TimeoutError, BlockingIOError,
)  # fmt: skip
ANSWER_S: Final = 3.0  # the core's loop answers in milliseconds, or hangs


class Say(Protocol):
    """Prints a line, on standard output unless told otherwise."""

    def __call__(self, text: str, stream: TextIO | None = None) -> None:
        """Print it."""


@contextlib.contextmanager
def _box(root: Path) -> Iterator[ipc.Channel[ipc.Message]]:
    """The running core. Its uid is the socket's owner: nobody else may write in its directory."""
    path = Paths(root).agent_socket
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


def seen(root: Path) -> view.View:
    """What the running core says of the box. Raises SdboxError."""
    with _box(root) as box:
        shown = _ask(box, view.AskStatus())
        if not isinstance(shown, view.View):
            raise DecodeError("not a view")
        return shown


def status(options: argparse.Namespace, say: Say) -> None:
    """The state, once, and what is so of the box. Raises SdboxError."""
    shown = seen(options.root)
    _show(shown, options, say)
    if not options.json:
        for code in shown.standing:
            say("    " + errors.render(code, options.language))


def watch(options: argparse.Namespace, say: Say) -> int | None:
    """The state at each change, until the core ends. Raises SdboxError."""
    if options.console:
        return _console(options, say)
    with _box(options.root) as box:
        _show(_ask(box, view.WatchBox()), options, say)
        box.sock.settimeout(None)  # the next change may be tomorrow
        while True:
            _show(_receive(box), options, say)


def _console(options: argparse.Namespace, say: Say) -> int:
    """The whole terminal, for as long as there is one: the core may end and come back."""
    try:
        with tty.opened(sys.stdin.fileno(), os.environ) as terminal:
            Console(terminal, Paths(options.root).agent_socket, options.language).run()
    except tty.Ended:
        say("sdbox-agent: no terminal, or it is gone", sys.stderr)
        return FAILED


def choose(options: argparse.Namespace, say: Say) -> None:
    """Enter a project. Raises SdboxError."""
    _tell(view.ChooseProject(project=options.project), options, say)


def code(options: argparse.Namespace, say: Say) -> None:
    """A code is of use once, and only with the card and its PIN; typed, it is in no history."""
    try:
        given = options.code or one_time_code(sys.stdin.readline().strip())
    except argparse.ArgumentTypeError as error:
        say(f"sdbox-agent: {error}", sys.stderr)
        raise SystemExit(USAGE) from None
    _tell(view.EnterCode(code=given), options, say)


def cancel(options: argparse.Namespace, say: Say) -> None:
    """Give up the session. Raises SdboxError."""
    _tell(view.CancelSession(), options, say)


def _tell(message: ipc.Message, options: argparse.Namespace, say: Say) -> None:
    with _box(options.root) as box:
        answer = _ask(box, message)
    if options.json:
        say(msgspec.json.encode(answer).decode())


def one_time_code(text: str) -> str:
    """A code as it is typed. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal() and 6 <= len(text) <= 8):
        raise argparse.ArgumentTypeError("a one-time code has 6 to 8 digits")
    return text


_PIN_CODES: Final = {
    Status.WRONG: "pin-wrong",
    Status.BLOCKED: "card-blocked",
    Status.NOT_NOW: "not-allowed",
    Status.LAST_TRY: "pin-last-try",
    Status.MALFORMED: "pin-malformed",
}


def pin(options: argparse.Namespace, say: Say) -> int | None:
    """The core says for which session; the digits go to the card worker and nowhere else."""
    shown = _waiting_for_a_pin(options)
    keyboard = sys.stdin.fileno()
    if not options.stdin and not os.isatty(keyboard):
        say("sdbox-agent: no terminal to enter a PIN at; see --stdin", sys.stderr)
        return USAGE
    path = Paths(options.root).pin_socket
    prompt.become(options.prompt_user, path)
    last = _agrees_to_the_last_try(shown, keyboard, options, say)
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
        say(msgspec.json.encode({"status": status.name.lower(), "pin_left": left}).decode())
        return FAILED if status in _PIN_CODES else None
    if status in _PIN_CODES:
        if left is not None:
            _say_tries(left, options, say)
        raise errors.error(_PIN_CODES[status])
    say(screen.words("prompt", "accepted", options.language))
    return None


def _waiting_for_a_pin(options: argparse.Namespace) -> view.View:
    shown = seen(options.root)
    if shown.state != "pinentry":
        raise errors.error("not-allowed")
    if shown.code == "enter-pin-on-pad":
        raise errors.error("enter-pin-on-pad")
    return shown


def _agrees_to_the_last_try(
    shown: view.View, keyboard: int, options: argparse.Namespace, say: Say
) -> bool:
    """Say what is left; whether the last try may be spent. Raises AskAgain if it may not."""
    _say_tries(shown.pin_left, options, say)
    agrees = bool(options.last_try)
    if shown.pin_left == 1 and not agrees:
        if not options.stdin:
            say(errors.render("pin-last-try", options.language), sys.stderr)
            say(screen.words("prompt", "last-try", options.language), sys.stderr)
            agrees = prompt.says_yes(keyboard)
        if not agrees:
            raise errors.error("pin-last-try")
    if not options.stdin:
        say(screen.words("state", "pinentry", options.language), sys.stderr)
    return agrees


def _say_tries(left: int | None, options: argparse.Namespace, say: Say) -> None:
    say(f"{screen.words('detail', 'pin_left', options.language)}: {left}", sys.stderr)


def _show(shown: ipc.Message, options: argparse.Namespace, say: Say) -> None:
    if options.json:
        say(msgspec.json.encode(shown).decode())
        return
    if not isinstance(shown, view.View):
        raise DecodeError("not a view")
    language = options.language
    say(f"[{shown.n}] {screen.words('state', shown.state, language)}")
    known = [
        f"{screen.words('detail', name, language)}: {value}"
        for name, value in details(shown)
        if value is not None
    ]
    if known:
        say("    " + ", ".join(known))
    for project in shown.projects:
        refused = ""
        if project.code:
            refused = errors.explain(errors.code_shown(project.code)).sentence[language]
        say(f"    {project.project}  {project.label}  {refused}".rstrip())
    for code in filter(errors.table().get, (shown.code or "", *shown.notices)):
        say("    " + errors.render(code, language))


def details(shown: view.View) -> tuple[tuple[str, object], ...]:
    """What is worth telling beside the state, None where it is not known."""
    names = (
        "level", "project", "attempts_left", "pin_left", "finger", "expires_in_days",
        "handshake_ms", "vm_ms", "carrier", "issuer", "post_quantum",
    )  # fmt: skip
    of_session = tuple((name, getattr(shown, name)) for name in names)
    return (*of_session, ("link", shown.link and _link(shown.link)))


def _link(link: view.LinkView) -> str:
    since_s = max(0, round(time.monotonic() - link.since_ms / 1000))
    return f"{'up' if link.up else 'down'} {since_s} s" + (f" ({link.code})" if link.code else "")
