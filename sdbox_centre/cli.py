"""The command line of the centre: parse, call, print. Knows no rule.

Processes are run with it, and staff's verbs spoken: `holder add`, `grant withdraw`, `acts log`.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent import errors
from sdbox_agent.errors import Fault, SdboxError
from sdbox_centre import processes
from sdbox_centre.book import ApiSettings
from sdbox_centre.codes import make_key
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.staff import verbs
from sdbox_centre.staff.station import Station
from sdbox_centre.store import Store
from sdbox_centre.tomlfile import beside, load

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sdbox_centre.staff.signer import Signer

    CardAt = Callable[[str | None], AbstractContextManager[Signer]]


def main(arguments: Sequence[str] | None = None, card_at: CardAt | None = None) -> None:
    """Run one command; exit 0, 1 if it was refused or failed, 2 if not understood.

    `card_at`: how the card in a reader is reached; for tests, another way than PC/SC.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    try:
        if "verb" in options:
            _as_staff(options, card_at or _in_reader)
        else:
            options.act(options)
    except SdboxError as error:
        row = errors.table().get(error.code)
        print(row.sentence["en"] if row else error.code, file=sys.stderr)  # noqa: T201
        if row is not None and row.remedy["en"]:
            print(f"  {row.remedy['en']}", file=sys.stderr)  # noqa: T201
        if error.__cause__ is not None:
            print(f"  {error.__cause__}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:  # a file that is not there, no number, no level
        print(f"sdbox_centre: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdbox_centre")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[Namespace], None], help_: str) -> None:
        sub = commands.add_parser(name, help=help_, description=help_)
        sub.add_argument("--config", type=Path, required=True, help="api, gateway or carrier.toml")
        sub.set_defaults(act=act)

    command("api", lambda o: processes.run_api(o.config), "serve the boxes")
    command("gateway", lambda o: processes.run_gateway(o.config), "keep the peers")
    command("carrier", lambda o: processes.run_carrier(o.config), "WireGuard over TLS: its end")
    command("openapi", _openapi, "print the description of the API")
    command("init", _init, "make the database")
    command("make-otp-key", _make_otp_key, "the key file that api.toml names as otp_key")
    verbs.add_to(commands)
    return parser


def _as_staff(options: Namespace, card_at: CardAt) -> None:
    """A verb of staff's, at a station over api.toml."""
    settings = load(options.config, ApiSettings)
    socket = beside(options.config, settings.gateway_socket)
    store = _store(options)
    with GatewayClient(socket, settings.gateway_uid) as gateway:
        station = Station(
            office=processes.office_of(options.config, settings, store, gateway),
            roster=processes.roster_of(options.config, settings),
            card=lambda: card_at(options.reader),
            json=options.json,
            with_second=options.with_second,
        )
        options.verb(station, options)
    store.close()


def _in_reader(reader: str | None) -> AbstractContextManager[Signer]:
    from sdbox_centre.staff import staffcard  # noqa: PLC0415  PC/SC is on stations, not on servers

    return staffcard.at_reader(reader)


def _store(options: Namespace) -> Store:
    settings = load(options.config, ApiSettings)
    return Store(beside(options.config, settings.database))


def _openapi(options: Namespace) -> None:
    settings = load(options.config, ApiSettings)
    path = beside(options.config, settings.gateway_socket)
    with GatewayClient(path, settings.gateway_uid) as gateway:
        app = processes.api_app(options.config, settings, _store(options), gateway)
    json.dump(app.openapi(), sys.stdout, indent=1)


def _init(options: Namespace) -> None:
    _store(options).create()


def _make_otp_key(options: Namespace) -> None:
    settings = load(options.config, ApiSettings)
    if settings.otp_key is None:
        raise Fault("config-invalid") from ValueError("otp_key is not set")
    make_key(beside(options.config, settings.otp_key), secrets.token_bytes)
