"""The operator's command line: parse, call, print. Knows no rule."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent import errors
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.terms import Level
from sdbox_centre import gatewayfiles, processes
from sdbox_centre.book import ApiSettings
from sdbox_centre.cardrules import certificates_of
from sdbox_centre.codes import make_key
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.nofinger import MAX_MOTIVE, NoFinger, Proposal, is_motive
from sdbox_centre.staff import CardShown, Staff, Validity
from sdbox_centre.store import Store
from sdbox_centre.tomlfile import beside, load

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit 0, 1 if it was refused or failed, 2 if not understood."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    try:
        options.act(options)
    except SdboxError as error:
        row = errors.table().get(error.code)
        print(row.sentence["en"] if row else error.code, file=sys.stderr)  # noqa: T201
        if error.__cause__ is not None:
            print(f"  {error.__cause__}", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from None
    except (OSError, ValueError) as error:  # a file that is not there, no number, no level
        print(f"sdbox_centre: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from None


def _motive(text: str) -> str:
    if not is_motive(text):
        raise argparse.ArgumentTypeError(f"one line of 1 to {MAX_MOTIVE} characters")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sdbox_centre")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, act: Callable[[Namespace], None], help_: str, *names: str) -> None:
        sub = commands.add_parser(name, help=help_, description=help_)
        sub.add_argument("--config", type=Path, required=True, help="api, gateway or carrier.toml")
        for each in names:
            sub.add_argument(each)
        if act in _WITH_MOTIVE:
            sub.add_argument(
                "--motive", type=_motive, required=True, help="why: it is written down"
            )
        if act in _BY_TWO:
            sub.add_argument(
                "--staff", required=True, help="your name at the office: two are asked"
            )
        sub.set_defaults(act=act)

    command("api", lambda o: processes.run_api(o.config), "serve the boxes")
    command("gateway", lambda o: processes.run_gateway(o.config), "keep the peers")
    command("carrier", lambda o: processes.run_carrier(o.config), "WireGuard over TLS: its end")
    command("openapi", _openapi, "print the description of the API")
    command("init", _init, "make the database")
    command("add-box", _add_box, "a box: certificates, PEM", "name", "tls", "statement")
    command("add-holder", _add_holder, "a holder, by pseudonym", "holder")
    command("add-card", _add_card, "a card: 9A, 9D, 9E, PEM", "holder", "auth", "keys", "cardauth")
    command(
        "add-enrolment", _add_enrolment, "a sealed reference; '-' if the card itself compares",
        "name", "auth", "sealed", "not_before_s", "not_after_s",
    )  # fmt: skip
    command(
        "propose-no-finger", _propose_no_finger, "without a finger; another confirms; 9A, PEM",
        "name", "auth", "not_after_s",
    )  # fmt: skip
    command("confirm-no-finger", _confirm_no_finger, "agree to what another proposed", "name")
    command("make-otp-key", _make_otp_key, "the key file that api.toml names as otp_key")
    command("provision-code", _provision_code, "print once what the person's device reads", "name")
    command("add-project", _add_project, "a project; levels with commas", "name", "label", "levels")
    command("grant", _grant, "let a holder enter", "holder", "project")
    command("withdraw", _withdraw, "no longer", "holder", "project")
    command("close-project", _close_project, "nobody enters any more", "project")
    command("revoke-card", _revoke_card, "for good; 9A, PEM", "auth")
    command("unlock-card", _unlock_card, "attempts whole again; 9A, PEM", "auth")
    command("suspend-box", _suspend_box, "no answer until resumed", "name")
    command("resume-box", _resume_box, "answered again", "name")
    command(
        "gateway-box", gatewayfiles.add_box, "the gateway's own list: a box", "name", "statement"
    )
    command("gateway-admit", gatewayfiles.admit, "…: a card, 9A, PEM", "project", "auth")
    command(
        "gateway-admit-pin", gatewayfiles.admit_pin, "…: by PIN and code only", "project", "auth"
    )
    command("gateway-expel", gatewayfiles.expel, "…: no longer", "project", "auth")
    return parser


def _der(path: str) -> bytes:
    (certificate,) = certificates_of(Path(path))
    return certificate


def _card(path: str) -> bytes:
    certificate = x509.load_der_x509_certificate(_der(path)).public_bytes(Encoding.DER)
    return CardShown(certificate, b"", b"").name


def _store(options: Namespace) -> Store:
    settings = load(options.config, ApiSettings)
    return Store(beside(options.config, settings.database))


def _staff(options: Namespace) -> Staff:
    return Staff(_store(options), processes.utc_s)


def _evict(options: Namespace, keys: list[str]) -> None:
    """Have the gateway put peers out now; without it, their lease does."""
    if not keys:
        return
    settings = load(options.config, ApiSettings)
    path = beside(options.config, settings.gateway_socket)
    with GatewayClient(path, settings.gateway_uid) as gateway:
        gateway.remove(keys)


def _openapi(options: Namespace) -> None:
    settings = load(options.config, ApiSettings)
    path = beside(options.config, settings.gateway_socket)
    with GatewayClient(path, settings.gateway_uid) as gateway:
        app = processes.api_app(options.config, settings, _store(options), gateway)
    json.dump(app.openapi(), sys.stdout, indent=1)


def _init(options: Namespace) -> None:
    _store(options).create()


def _add_box(options: Namespace) -> None:
    _staff(options).add_box(options.name, _der(options.tls), _der(options.statement))


def _add_holder(options: Namespace) -> None:
    _staff(options).add_holder(options.holder)


def _add_card(options: Namespace) -> None:
    card = CardShown(_der(options.auth), _der(options.keys), _der(options.cardauth))
    _staff(options).add_card(options.holder, card)


def _add_enrolment(options: Namespace) -> None:
    validity = Validity(int(options.not_before_s), int(options.not_after_s))
    sealed = None if options.sealed == "-" else Path(options.sealed).read_bytes()
    _staff(options).add_enrolment(options.name, _card(options.auth), sealed, validity)


def _no_finger(options: Namespace) -> NoFinger:
    return NoFinger(_store(options), processes.utc_s)


def _propose_no_finger(options: Namespace) -> None:
    auth, until_s = _der(options.auth), int(options.not_after_s)
    _no_finger(options).propose(
        Proposal(options.name, auth, until_s, options.motive, options.staff)
    )


def _confirm_no_finger(options: Namespace) -> None:
    _no_finger(options).confirm(options.name, options.staff)


def _make_otp_key(options: Namespace) -> None:
    settings = load(options.config, ApiSettings)
    if settings.otp_key is None:
        raise Fault("config-invalid") from ValueError("otp_key is not set")
    make_key(beside(options.config, settings.otp_key), secrets.token_bytes)


def _provision_code(options: Namespace) -> None:
    codes = processes.codes_of(options.config, load(options.config, ApiSettings))
    if codes is None:
        raise Fault("config-invalid") from ValueError("otp_key is not set")
    uri = _no_finger(options).provision(options.name, options.motive, codes, secrets.token_bytes)
    print(uri)  # noqa: T201  for the person's device, on this screen and nowhere else


def _add_project(options: Namespace) -> None:
    levels = [Level(level) for level in options.levels.split(",")]
    _staff(options).add_project(options.name, options.label, levels)


def _grant(options: Namespace) -> None:
    _staff(options).grant(options.holder, options.project)


def _withdraw(options: Namespace) -> None:
    _evict(options, _staff(options).withdraw(options.holder, options.project, options.motive))


def _close_project(options: Namespace) -> None:
    _evict(options, _staff(options).close_project(options.project, options.motive))


def _revoke_card(options: Namespace) -> None:
    _evict(options, _staff(options).revoke_card(_card(options.auth), options.motive))


def _unlock_card(options: Namespace) -> None:
    _staff(options).unlock_card(_card(options.auth), options.motive)


def _suspend_box(options: Namespace) -> None:
    _evict(options, _staff(options).suspend_box(options.name, options.motive))


def _resume_box(options: Namespace) -> None:
    _staff(options).resume_box(options.name, options.motive)


_WITH_MOTIVE = {
    _withdraw,
    _close_project,
    _revoke_card,
    _unlock_card,
    _suspend_box,
    _resume_box,
    _propose_no_finger,
    _provision_code,
}
_BY_TWO = {_propose_no_finger, _confirm_no_finger}
