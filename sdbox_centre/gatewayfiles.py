"""Acts on the gateway's own files [door]: its boxes, and the cards of its projects.

A project's file is written by the operator (see book.ProjectFile); here only its two lists of cards
are changed, one card a line. Files are replaced whole, so the gateway never reads half of one.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent.errors import Refused
from sdbox_centre.book import GatewaySettings, ProjectFile
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.tomlfile import beside, load

if TYPE_CHECKING:
    from argparse import Namespace

_CARDS = re.compile(r"(?ms)^(?:pin_)?cards *= *\[.*?\]\n?")


def add_box(options: Namespace) -> None:
    """`gateway-box`: the certificate this box's statements are verified with."""
    settings = load(options.config, GatewaySettings)
    pem = Path(options.statement)
    certificates_of(pem)
    _replace(beside(options.config, settings.boxes) / f"{options.name}.pem", pem.read_text())


def admit(options: Namespace) -> None:
    """`gateway-admit`: this card may enter the project by its holder's finger."""
    path, cards, pin_cards = _project(options)
    card = _card(options)
    if card in pin_cards:
        raise Refused("request-invalid")  # one way in: expelled first, then admitted
    _write(path, cards | {card}, pin_cards)


def admit_pin(options: Namespace) -> None:
    """`gateway-admit-pin`: this card may enter by PIN and one-time code, and by nothing else."""
    path, cards, pin_cards = _project(options)
    card = _card(options)
    if card in cards:
        raise Refused("request-invalid")
    _write(path, cards, pin_cards | {card})


def expel(options: Namespace) -> None:
    """`gateway-expel`: no longer; a live tunnel ends with its lease."""
    path, cards, pin_cards = _project(options)
    card = _card(options)
    if card not in cards | pin_cards:
        raise Refused("not-found")
    _write(path, cards - {card}, pin_cards - {card})


def _card(options: Namespace) -> str:
    (certificate,) = certificates_of(Path(options.auth))
    return hashlib.sha256(certificate).hexdigest()


def _project(options: Namespace) -> tuple[Path, frozenset[str], frozenset[str]]:
    settings = load(options.config, GatewaySettings)
    path = beside(options.config, settings.projects) / f"{options.project}.toml"
    project = load(path, ProjectFile)
    return path, frozenset(project.cards), frozenset(project.pin_cards)


def _write(path: Path, cards: frozenset[str], pin_cards: frozenset[str]) -> None:
    text = _list("cards", cards) + (_list("pin_cards", pin_cards) if pin_cards else "")
    rest = _CARDS.sub("", path.read_text())
    _replace(path, f"{rest.rstrip()}\n{text}")
    load(path, ProjectFile)


def _list(name: str, cards: frozenset[str]) -> str:
    return f"{name} = [\n" + "".join(f'    "{card}",\n' for card in sorted(cards)) + "]\n"


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
