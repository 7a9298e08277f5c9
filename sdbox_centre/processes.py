"""API and carrier's end put together from their settings [door]: randomness, files, sockets.

The gateway is `gateway_process`: it loads neither web server nor database.
"""

from __future__ import annotations

import logging
import secrets
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent.centre.wire import Policy
from sdbox_agent.errors import Fault
from sdbox_agent.state import trusted
from sdbox_centre import authority, carrier_server, engines, est
from sdbox_centre.api import make_app
from sdbox_centre.book import (
    ApiSettings,
    CarrierSettings,
    card_rules,
    roster_of,
)
from sdbox_centre.cardrules import Lists, certificates_of, served
from sdbox_centre.clocks import utc_s
from sdbox_centre.codes import load as load_codes
from sdbox_centre.core import Centre
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.memory import Memory
from sdbox_centre.server import serve, tls_context
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.office import Office
from sdbox_centre.store import Store
from sdbox_centre.tomlfile import beside, load
from sdbox_centre.wireguard import named_descriptors

if TYPE_CHECKING:
    from fastapi import FastAPI

    from sdbox_centre.codes import Codes
    from sdbox_centre.est import Est

log = logging.getLogger("sdbox.centre")

API_SOCKET = "api"  # LISTEN_FDNAMES
CARRIER_SOCKET = "carrier"


def run_api(settings_file: Path) -> None:
    """Serve until a signal."""
    settings = load(settings_file, ApiSettings)
    store = store_of(settings_file, settings)
    store.check()
    socket_path = beside(settings_file, settings.gateway_socket)
    with GatewayClient(socket_path, settings.gateway_uid) as gateway:
        _catch_up(office_of(settings_file, settings, store, gateway))
        app = api_app(settings_file, settings, store, gateway)
        context = tls_context(
            beside(settings_file, settings.certificate),
            beside(settings_file, settings.key),
            beside(settings_file, settings.box_anchors),
            anonymous=settings.est is not None,
        )
        listener = named_descriptors().get(API_SOCKET) or _tcp(settings.address, settings.port)
        serve(app, context, listener)
    store.close()


def store_of(settings_file: Path, settings: ApiSettings) -> Store:
    """The database that the settings name, and what is remembered beside it.

    Raises Fault: config-invalid, disk-failed.
    """
    database = engines.parse(settings.database, settings_file.parent)
    if settings.remembered is None:
        return Store(database)
    remembered = beside(settings_file, settings.remembered)
    if isinstance(database, Path) and remembered.resolve() == database.resolve():
        raise Fault("config-invalid") from ValueError("remembered: the database itself")
    return Store(database, Memory(remembered))


def _catch_up(office: Office) -> None:
    """Hand the gateway what it may have missed."""
    try:
        office.deliver()
    except Fault:
        log.warning("gateway away: it may lack acts of staff until `acts deliver`")


def api_app(
    settings_file: Path, settings: ApiSettings, store: Store, gateway: GatewayClient
) -> FastAPI:
    """The application over these settings, which believes what staff signed."""
    rules = card_rules(settings_file, settings)
    policy = Policy(version=settings.policy_version, comparisons=settings.comparisons)
    try:
        rules.crls(utc_s())
    except Fault as fault:  # it may come yet: it is looked for at each question
        log.error("no card will be let in: %s (%s)", fault.code, fault.__cause__)  # noqa: TRY400
    codes = codes_of(settings_file, settings)
    acts = Acts(roster_of(settings_file, settings), utc_s)
    centre = Centre(store, rules, gateway, policy, utc_s, secrets.token_bytes, acts.proven, codes)
    desks = desk_lists(settings_file, settings)
    est_ = est_of(settings_file, settings, acts)
    return make_app(centre, lambda: served(rules, desks, utc_s()), est_)


def est_of(settings_file: Path, settings: ApiSettings, acts: Acts) -> Est | None:
    """The boxes' authority, if there is one here. Raises Fault: config-invalid."""
    at = settings.est
    if at is None:
        return None
    try:
        pem = trusted.read(beside(settings_file, at.key), private=True)
        own = authority.load(beside(settings_file, at.certificate).read_bytes(), pem)
        anchors = certificates_of(beside(settings_file, settings.box_anchors))
        after = (
            () if at.successors is None else certificates_of(beside(settings_file, at.successors))
        )
        return est.load(own, anchors, after, acts.newest)
    except (OSError, ValueError, TypeError) as error:
        raise Fault("config-invalid") from error


def desk_lists(settings_file: Path, settings: ApiSettings) -> Lists | None:
    """The enrolment authorities' lists. Raises Fault("config-invalid") for lists of nobody."""
    if settings.desk_anchors is None:
        if settings.desk_crls:
            raise Fault("config-invalid")
        return None
    lists = [beside(settings_file, crl) for crl in settings.desk_crls]
    return Lists(beside(settings_file, settings.desk_anchors), lists)


def codes_of(settings_file: Path, settings: ApiSettings) -> Codes | None:
    """The keeper of one-time codes, if its key is configured. Raises Fault: config-invalid."""
    return None if settings.otp_key is None else load_codes(beside(settings_file, settings.otp_key))


def office_of(
    settings_file: Path, settings: ApiSettings, store: Store, gateway: GatewayClient
) -> Office:
    """Where acts are entered, over these settings."""
    acts = Acts(roster_of(settings_file, settings), utc_s)
    codes = codes_of(settings_file, settings)
    return Office(store, acts, gateway, utc_s, secrets.token_bytes, codes)


def run_carrier(settings_file: Path) -> None:
    """Serve until a signal."""
    settings = load(settings_file, CarrierSettings)
    context = carrier_server.tls_context(
        beside(settings_file, settings.certificate), beside(settings_file, settings.key)
    )
    listener = named_descriptors().get(CARRIER_SOCKET) or _tcp(settings.address, settings.port)
    limits = carrier_server.Limits(settings.connections, settings.rate_bytes_s)
    socket_path = beside(settings_file, settings.gateway_socket)
    with GatewayClient(socket_path, settings.gateway_uid) as gateway:
        server = carrier_server.CarrierServer(listener, context, gateway.admit, limits)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        server.run()


def _tcp(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)
