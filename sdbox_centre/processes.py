"""The two processes put together from their settings [door]: clock, randomness, files, sockets."""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import time
from typing import TYPE_CHECKING

from sdbox_agent.centre.wire import Policy
from sdbox_agent.errors import Fault
from sdbox_agent.tunnel.kernel import Links
from sdbox_centre import carrier_server
from sdbox_centre.api import make_app
from sdbox_centre.book import (
    ApiSettings,
    Book,
    CarrierSettings,
    GatewaySettings,
)
from sdbox_centre.cardrules import CardRules, Lists, served
from sdbox_centre.codes import load as load_codes
from sdbox_centre.core import Centre
from sdbox_centre.gateway import Clocks, Gateway
from sdbox_centre.gateway_server import GatewayServer, listen, may
from sdbox_centre.gateway_wire import GatewayClient
from sdbox_centre.server import serve, tls_context
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.kept import KeptActs
from sdbox_centre.staff.office import Office
from sdbox_centre.staff.roster import RosterSource
from sdbox_centre.store import Store
from sdbox_centre.tomlfile import beside, load
from sdbox_centre.wireguard import Place, WireGuardPeers, named_descriptors

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from sdbox_centre.codes import Codes
    from sdbox_centre.peers import Peers

log = logging.getLogger("sdbox.centre")

API_SOCKET = "api"  # LISTEN_FDNAMES
GATEWAY_SOCKET = "gateway"
CARRIER_SOCKET = "carrier"
VM_PREFIX = "vm."  # and the project's name: a netlink socket opened in its VM's namespace


def utc_s() -> int:
    """The centre's clock: it decides every date."""
    return int(time.time())  # noqa: TID251  the door


def boottime_s() -> float:
    """Monotonic, and counting while the machine sleeps: a lease does not sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_api(settings_file: Path) -> None:
    """Serve until a signal."""
    settings = load(settings_file, ApiSettings)
    store = Store(beside(settings_file, settings.database))
    store.create()  # what an earlier version's has not
    socket_path = beside(settings_file, settings.gateway_socket)
    with GatewayClient(socket_path, settings.gateway_uid) as gateway:
        _catch_up(office_of(settings_file, settings, store, gateway))
        app = api_app(settings_file, settings, store, gateway)
        context = tls_context(
            beside(settings_file, settings.certificate),
            beside(settings_file, settings.key),
            beside(settings_file, settings.box_anchors),
        )
        listener = named_descriptors().get(API_SOCKET) or _tcp(settings.address, settings.port)
        serve(app, context, listener)
    store.close()


def _catch_up(office: Office) -> None:
    """Hand the gateway what it may have missed."""
    try:
        office.deliver()
    except Fault:
        log.warning("gateway away: it may lack acts of staff until `acts deliver`")


def api_app(
    settings_file: Path, settings: ApiSettings, store: Store, gateway: GatewayClient
) -> FastAPI:
    """The application over these settings."""
    rules = card_rules(settings_file, settings)
    policy = Policy(version=settings.policy_version, comparisons=settings.comparisons)
    codes = codes_of(settings_file, settings)
    centre = Centre(store, rules, gateway, policy, utc_s, secrets.token_bytes, codes)
    desks = desk_lists(settings_file, settings)
    return make_app(centre, lambda: served(rules, desks, utc_s()))


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


def card_rules(settings_file: Path, settings: ApiSettings | GatewaySettings) -> CardRules:
    """This process's own anchors and lists."""
    lists = [beside(settings_file, crl) for crl in settings.crls]
    anchors = beside(settings_file, settings.card_anchors)
    return CardRules(anchors, lists, test_issuers=settings.test_issuers)


def run_gateway(settings_file: Path) -> None:
    """Serve until a signal. Raises OSError if an interface failed: all of them end then."""
    settings = load(settings_file, GatewaySettings)
    book = _book(settings_file, settings)
    book.carrier()  # what is wrong with it is told now, not to the first box
    descriptors = named_descriptors()
    interfaces: dict[str, WireGuardPeers] = {}

    def peers_of(project: str) -> Peers:
        if project not in interfaces:
            place = _place(settings_file, book, project, descriptors)
            runtime = beside(settings_file, settings.runtime)
            interfaces[project] = WireGuardPeers(book.settings(project), runtime, place)
        return interfaces[project]

    gateway = Gateway(
        card_rules(settings_file, settings),
        book,
        peers_of,
        Clocks(utc_s, boottime_s),
        secrets.token_bytes,
        settings.lease_s,
    )
    path = beside(settings_file, settings.socket)
    try:
        for project in book.projects():
            peers_of(project)
        listener = descriptors.get(GATEWAY_SOCKET) or listen(path, settings.api_gid)
        carrier_uid = None if settings.carrier is None else settings.carrier.uid
        allowed = may(settings.api_uid, settings.staff_uid, carrier_uid)
        server = GatewayServer(gateway, listener, allowed, lambda: tuple(interfaces))
        for interface in interfaces.values():
            server.watch(interface.pidfd)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        server.run()
    finally:
        for interface in interfaces.values():
            interface.close()


def _book(settings_file: Path, settings: GatewaySettings) -> Book:
    at = settings.carrier
    carrier = None if at is None else (at.endpoint, beside(settings_file, at.certificate))
    acts, projects = (beside(settings_file, each) for each in (settings.acts, settings.projects))
    kept = KeptActs(acts, roster_of(settings_file, settings), utc_s)
    return Book(kept, projects, carrier)


def roster_of(settings_file: Path, settings: ApiSettings | GatewaySettings) -> RosterSource:
    """This process's own roster of staff. Raises OSError, ValueError for bad anchors."""
    staff = settings.staff
    return RosterSource(
        beside(settings_file, staff.roster),
        beside(settings_file, staff.anchors),
        [beside(settings_file, crl) for crl in staff.crls],
        test_issuers=settings.test_issuers,
    )


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


def _place(
    settings_file: Path, book: Book, project: str, descriptors: dict[str, socket.socket]
) -> Place | None:
    namespace = book.settings(project).namespace
    inside = descriptors.get(f"{VM_PREFIX}{project}")
    if namespace is None or inside is None:
        return None
    return Place(Links(inside), beside(settings_file, namespace))


def _tcp(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)
