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
from sdbox_centre import accessreview, gateway_process, processes, restore
from sdbox_centre.api import description
from sdbox_centre.book import ApiSettings, roster_of
from sdbox_centre.clocks import utc_s
from sdbox_centre.codes import make_key
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.memory import Memory
from sdbox_centre.staff import verbs
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.commands import motive
from sdbox_centre.staff.station import Station
from sdbox_centre.tomlfile import beside, load

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sdbox_centre.staff.signer import Signer

    CardAt = Callable[[str | None], AbstractContextManager[Signer]]

    from sdbox_centre.store import Store


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
        print(f"sdbox-centre: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sdbox-centre", description="The SD-Box's centre.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[Namespace], None], help_: str) -> ArgumentParser:
        sub = commands.add_parser(name, help=help_, description=help_)
        sub.add_argument("--config", type=Path, required=True, help="api, gateway or carrier.toml")
        sub.set_defaults(act=act)
        return sub

    command("api", lambda o: processes.run_api(o.config), "serve the boxes")
    command("gateway", lambda o: gateway_process.run(o.config), "keep the peers")
    command("gateway-check", lambda o: gateway_process.check(o.config), "would it start with this?")
    command("carrier", lambda o: processes.run_carrier(o.config), "WireGuard over TLS: its end")
    command("openapi", _openapi, "print the description of the API")
    command("init", _init, "make the database, or bring an older one to this version")
    command("make-otp-key", _make_otp_key, "the key file that api.toml names as otp_key")
    reads = command("access-review", _access_review, "who may enter what, by whom, why, last use")
    reads.add_argument("--json", action="store_true")
    accepts = command("restore-accept", _restore_accept, "work on the back-up that was put back")
    accepts.add_argument("--motive", type=motive, required=True, help="why: it is written down")
    accepts.add_argument(
        "--also", type=_there, action="append", default=[],
        help="what another machine's API remembers, brought here",
    )  # fmt: skip
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
            roster=roster_of(options.config, settings),
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
    store = processes.store_of(options.config, settings)
    store.check()
    return store


def _openapi(_options: Namespace) -> None:
    json.dump(description(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


def _init(options: Namespace) -> None:
    store = processes.store_of(options.config, load(options.config, ApiSettings))
    store.create()
    store.close()


def _there(name: str) -> Path:
    """A file that is there: SQLite would make it. Raises ArgumentTypeError."""
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no {name}")
    return path


def _restore_accept(options: Namespace) -> None:
    store = processes.store_of(options.config, load(options.config, ApiSettings))
    others = [Memory(path) for path in options.also]
    for gone in restore.accept(store, utc_s(), options.motive, others):
        print(gone)  # noqa: T201  what staff have to look at: the database knows nothing of it
    store.close()


def _access_review(options: Namespace) -> None:
    store, settings = _store(options), load(options.config, ApiSettings)
    acts = Acts(roster_of(options.config, settings), utc_s)
    accessreview.command(store, utc_s(), acts.told, json_wanted=options.json)


def _make_otp_key(options: Namespace) -> None:
    settings = load(options.config, ApiSettings)
    if settings.otp_key is None:
        raise Fault("config-invalid") from ValueError("otp_key is not set")
    make_key(beside(options.config, settings.otp_key), secrets.token_bytes)
