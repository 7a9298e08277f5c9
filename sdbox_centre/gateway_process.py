"""The gateway put together from its settings [door]: clocks, randomness, files, sockets, children.

SIGHUP (a service manager's *reload*) makes it take up its program, settings and files anew, in the
same process and under the same interfaces: no tunnel ends and none is lengthened (`reexec`).
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.tunnel.kernel import Links
from sdbox_centre import handover, reexec
from sdbox_centre.book import Book, GatewaySettings, card_rules, pools, roster_of
from sdbox_centre.clocks import boottime_s, utc_s
from sdbox_centre.gateway import Clocks, Gateway
from sdbox_centre.gateway_server import GatewayServer, listen, may
from sdbox_centre.handover import HandOver
from sdbox_centre.staff.kept import KeptActs
from sdbox_centre.tomlfile import beside, load
from sdbox_centre.wireguard import Place, WireGuardPeers, named_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdbox_centre.handover import KeptInterface
    from sdbox_centre.peers import Peers

GATEWAY_SOCKET = "gateway"  # LISTEN_FDNAMES
VM_PREFIX = "vm."  # and the project's name: a netlink socket opened in its VM's namespace

log = logging.getLogger("sdbox.gateway")


def run(settings_file: Path) -> None:
    """Serve until a signal. Raises OSError if an interface failed: all of them end then."""
    text = reexec.received(handover.MAX_BYTES)
    before = None if text is None else handover.decode(text)
    process = _Process(settings_file, before)
    try:
        process.run(before)
    finally:
        process.close()


def check(settings_file: Path) -> None:
    """Would it start, or go on, with these files? Raises SdboxError, OSError, ValueError."""
    settings = load(settings_file, GatewaySettings)
    book = _book(settings_file, settings)
    book.carrier()
    book.window()  # staff's roster is read for it
    for project in book.projects():
        pools(book.settings(project))
    card_rules(settings_file, settings).crls(utc_s())


class _Process:
    """What is held open."""

    def __init__(self, settings_file: Path, before: HandOver | None) -> None:
        self._file = settings_file
        self._settings = load(settings_file, GatewaySettings)
        self._book = _book(settings_file, self._settings)
        self._book.carrier()  # what is wrong with it is told now, not to the first box
        self._interfaces: dict[str, WireGuardPeers] = {}
        if before is None:
            self._sockets = named_descriptors()
            self._locks = self._lock()
        else:
            reexec.keep(before.descriptors)
            self._sockets = {n: socket.socket(fileno=fd) for n, fd in before.sockets.items()}
            self._locks = before.locks
        if GATEWAY_SOCKET not in self._sockets:
            path = beside(settings_file, self._settings.socket)
            self._sockets[GATEWAY_SOCKET] = listen(path, self._settings.api_gid)
        self._gateway = Gateway(
            card_rules(settings_file, self._settings),
            self._book,
            self._peers_of,
            Clocks(utc_s, boottime_s),
            secrets.token_bytes,
            self._settings.lease_s,
        )
        self._server = self._make_server()

    def run(self, before: HandOver | None) -> None:
        """Go on where that one was, then serve."""
        if before is not None:
            for kept in before.interfaces:
                self._inherit(kept)
            self._gateway.resume(before.memory)
            for client in before.clients:
                self._server.admit(socket.socket(fileno=client))
        for project in self._book.projects():
            self._peers_of(project)
            self._gateway.reconcile(project)
        for number, act in (
            (signal.SIGTERM, self._server.stop),
            (signal.SIGINT, self._server.stop),
            (signal.SIGHUP, self._server.reload),
        ):
            signal.signal(number, _handler(act))
        self._gateway.expire()
        reexec.done()
        gc.freeze()  # no collection looks at what is there by now, while a box waits for its answer
        while self._server.run():
            self._replace()

    def close(self) -> None:
        """Nothing is up any more, and another gateway may start."""
        for interface in self._interfaces.values():
            interface.close()
        self._server.close()
        for lock in self._locks:
            os.close(lock)

    def _lock(self) -> tuple[int, ...]:
        """On the interfaces' directory, and beside a socket that we make ourselves."""
        runtime = beside(self._file, self._settings.runtime)
        if GATEWAY_SOCKET in self._sockets:
            return (lock(runtime),)
        path = beside(self._file, self._settings.socket)
        return lock(runtime), lock(path.with_name(path.name + ".lock"))

    def _make_server(self) -> GatewayServer:
        settings = self._settings
        carrier_uid = None if settings.carrier is None else settings.carrier.uid
        uids = may(settings.api_uid, settings.staff_uid, carrier_uid)
        listener = self._sockets[GATEWAY_SOCKET]
        return GatewayServer(self._gateway, listener, uids, lambda: tuple(self._interfaces))

    def _peers_of(self, project: str) -> Peers:
        if project not in self._interfaces:
            runtime = beside(self._file, self._settings.runtime)
            started = WireGuardPeers.start(
                self._book.settings(project), runtime, self._place(project)
            )
            self._add(project, started)
        return self._interfaces[project]

    def _add(self, project: str, interface: WireGuardPeers) -> None:
        self._interfaces[project] = interface
        self._server.watch(interface.pidfd)

    def _inherit(self, kept: KeptInterface) -> None:
        """An interface, if its project still asks for this one."""
        interface = WireGuardPeers.inherit(kept, beside(self._file, self._settings.runtime))
        with suppress(Refused):  # there is no such project any more
            if interface.serves(self._book.settings(kept.project)):
                self._add(kept.project, interface)
                return
        log.warning("interface of project %s is not asked for any more", kept.project)
        interface.close()

    def _place(self, project: str) -> Place | None:
        namespace = self._book.settings(project).namespace
        inside = self._sockets.get(f"{VM_PREFIX}{project}")
        if namespace is None or inside is None:
            return None
        return Place(Links(inside), beside(self._file, namespace))

    def _replace(self) -> None:
        """Have the program that is on the disk now take our place; if it can't, go on."""
        handed = HandOver(
            memory=self._gateway.memory(),
            interfaces=tuple(each.kept(name) for name, each in self._interfaces.items()),
            sockets={name: sock.fileno() for name, sock in self._sockets.items()},
            clients=tuple(client.fileno() for client in self._server.clients),
            locks=self._locks,
        )
        log.info("reload: %d leases", len(handed.memory.leases))
        try:
            reexec.replace(handover.encode(handed), handed.descriptors, self._command())
        except OSError as error:
            log.error("reload failed, the old program goes on: %s", error)  # noqa: TRY400

    def _command(self) -> list[str]:
        """This module as a program, under the interpreter's options that we were given."""
        given = sys.orig_argv
        options = given[1 : given.index("-m")] if "-m" in given else []
        module = ["-m", "sdbox_centre.gateway_process"]
        return [sys.executable, *options, *module, str(self._file)]


def lock(path: Path) -> int:
    """Hold a directory, or a file made for it, until closed. Raises Fault: gateway-running."""
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if path.is_dir() else os.O_CREAT)
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Fault("gateway-running") from None
    return descriptor


def _book(settings_file: Path, settings: GatewaySettings) -> Book:
    at = settings.carrier
    carrier = None if at is None else (at.endpoint, beside(settings_file, at.certificate))
    acts, projects = (beside(settings_file, each) for each in (settings.acts, settings.projects))
    kept = KeptActs(acts, roster_of(settings_file, settings), utc_s)
    return Book(kept, projects, carrier)


def _handler(act: Callable[[], None]) -> Callable[[int, object], None]:
    return lambda _number, _frame: act()


def main() -> None:
    """What `reexec` starts."""
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    run(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
