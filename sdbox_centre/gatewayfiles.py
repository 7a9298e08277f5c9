"""Acts on the gateway's own files [door]: its boxes, and the cards of its projects.

A project's file is written by the operator (see book.ProjectFile); here only its list of cards is
changed, one card a line. Files are replaced whole, so the gateway never reads half of one.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused
from sdbox_centre.book import GatewaySettings, ProjectFile, beside, load
from sdbox_centre.cardrules import certificates_of

if TYPE_CHECKING:
    from argparse import Namespace

_CARDS = re.compile(r"(?ms)^cards *= *\[.*?\]\n?")


def add_box(options: Namespace) -> None:
    """`gateway-box`: the certificate this box's statements are verified with."""
    settings = load(options.config, GatewaySettings)
    pem = Path(options.statement)
    certificates_of(pem)
    _replace(beside(options.config, settings.boxes) / f"{options.name}.pem", pem.read_text())


def admit(options: Namespace) -> None:
    """`gateway-admit`: this card may enter the project."""
    path, cards = _project(options)
    _write(path, cards | {_card(options)})


def expel(options: Namespace) -> None:
    """`gateway-expel`: no longer; a live tunnel ends with its lease."""
    path, cards = _project(options)
    if _card(options) not in cards:
        raise Refused("not-found")
    _write(path, cards - {_card(options)})


def _card(options: Namespace) -> str:
    (certificate,) = certificates_of(Path(options.auth))
    return hashlib.sha256(certificate).hexdigest()


def _project(options: Namespace) -> tuple[Path, frozenset[str]]:
    settings = load(options.config, GatewaySettings)
    path = beside(options.config, settings.projects) / f"{options.project}.toml"
    return path, frozenset(load(path, ProjectFile).cards)


def _write(path: Path, cards: frozenset[str]) -> None:
    text = "cards = [\n" + "".join(f'    "{card}",\n' for card in sorted(cards)) + "]\n"
    rest = _CARDS.sub("", path.read_text())
    _replace(path, f"{rest.rstrip()}\n{text}")
    load(path, ProjectFile)


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
