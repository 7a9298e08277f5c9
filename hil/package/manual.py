"""The manual page and the shells' completions, from the command line's own tree of parsers."""

from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import shtab

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Shell = Literal["bash", "zsh"]

_WIDTH: Final = 1 << 16  # usage in one line: roff fills


def page(parser: argparse.ArgumentParser, what: str, tail: str, epoch_s: int, version: str) -> str:
    """A page of section 1, in roff. `tail`: its last sections, in roff already."""
    day = dt.datetime.fromtimestamp(epoch_s, dt.UTC).strftime("%Y-%m-%d")
    program = parser.prog
    lines = [
        f'.TH {program.upper()} 1 "{day}" "{program} {version}" "SD-Box"',
        ".SH NAME",
        f"{_text(program)} \\- {_text(what)}",
        ".SH SYNOPSIS",
        *_usage(parser),
        ".SH OPTIONS",
        *_options(parser),
        ".SH COMMANDS",
    ]
    for words, one in _leaves(parser, ()):
        lines += [f".SS {_text(' '.join(words))}", _text(_sentence(one.description or ""))]
        lines += [".PP", *_usage(one), *_options(one)]
    return "\n".join([*lines, tail.rstrip()]) + "\n"


def completion(parser: argparse.ArgumentParser, shell: Shell) -> str:
    """What a shell reads to complete this command. Files are offered where a path is taken."""
    for one in (parser, *(leaf for _, leaf in _leaves(parser, ()))):
        for action in one._actions:
            if action.type is Path:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)


def _children(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Every command that does something, with its words: `audit verify`."""
    for name, child in _children(parser).items():
        if _children(child):
            yield from _leaves(child, (*words, name))
        else:
            yield (*words, name), child


def _usage(parser: argparse.ArgumentParser) -> Iterable[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDTH)
    groups = parser._mutually_exclusive_groups
    formatter.add_usage(None, parser._actions, groups, prefix="")  # its own would be translated
    program, _, rest = formatter.format_help().strip().removeprefix(parser.prog).partition(" ")
    return [f".B {_text(parser.prog + program)}", _text(rest)]


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = argparse.HelpFormatter(parser.prog, width=_WIDTH)
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            continue
        yield ".TP"
        yield f".B {_text(formatter._format_action_invocation(action))}"
        yield _text(formatter._expand_help(action)) if action.help else "\\&"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _text(text: str) -> str:
    """As roff takes it: a hyphen stays one, and no line is a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped
