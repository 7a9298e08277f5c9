"""Puts the core together and keeps it running until told to stop."""

from __future__ import annotations

import asyncio
import secrets
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sdbox_agent import errors, ipc, notify
from sdbox_agent.audit.outbox import Outbox
from sdbox_agent.centre.https import CentreClient, Where
from sdbox_agent.daemon.calls import Calls
from sdbox_agent.daemon.card_side import CardSide
from sdbox_agent.daemon.centre_side import CentreSide
from sdbox_agent.daemon.context import Context
from sdbox_agent.daemon.finger_side import FingerSide
from sdbox_agent.daemon.hotplug import Monitor
from sdbox_agent.daemon.links import Link
from sdbox_agent.daemon.local import LocalSocket
from sdbox_agent.daemon.perform import Performer
from sdbox_agent.daemon.shell import Shell
from sdbox_agent.daemon.trust import Trust
from sdbox_agent.daemon.tunnel_side import TunnelSide
from sdbox_agent.errors import Fault
from sdbox_agent.identity import keys
from sdbox_agent.profile.load import load_box, load_profile
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.policy import Policy
from sdbox_agent.state import store, trusted
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.marks import Marks

if TYPE_CHECKING:
    from pathlib import Path

    from sdbox_agent.identity.keys import BoxIdentity
    from sdbox_agent.paths import Paths
    from sdbox_agent.profile.schema import Box, Profile

FIRST_HELLO_RETRY_S: Final = 1.0
MAX_HELLO_RETRY_S: Final = 60.0
STOP_S: Final = 3.0  # more than closing takes


@dataclass(frozen=True, slots=True)
class Uids:
    """Who the workers are, and who may speak at the local socket."""

    card: int
    finger: int
    tunnel: int
    watchers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator gave this box, read and checked."""

    box: Box
    profile: Profile
    identity: BoxIdentity
    card_anchors: tuple[bytes, ...]
    desk_anchors: tuple[bytes, ...]


def settings(paths: Paths, profiles: Path) -> Settings:
    """Read everything under /etc/sdbox. Raises Fault (FileRefused names file and line)."""
    box = load_box(paths.config)
    profile = load_profile(box.profile, (paths.config / "profiles", profiles))
    return Settings(
        box,
        profile,
        keys.load(paths.config),
        _certificates(paths.config / "anchors/cards.pem"),
        _certificates(paths.config / "anchors/desk.pem"),
    )


def _certificates(path: Path) -> tuple[bytes, ...]:
    try:
        loaded = x509.load_pem_x509_certificates(trusted.read(path))
    except (OSError, ValueError):
        raise Fault("config-invalid") from None
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in loaded)


def run(paths: Paths, profiles: Path, uids: Uids) -> None:
    """Run until SIGTERM. Raises Fault if the box can't start."""
    configured = settings(paths, profiles)
    files = RealFileSystem(paths.state)
    try:
        files.lock()
    except BlockingIOError:  # fault 62: a second agent on the same box ends here
        raise Fault("already-running") from None
    kept = store.load(files)
    loop = asyncio.new_event_loop()
    try:
        _Core(loop, paths, configured, kept, files, uids).run()
    finally:
        loop.close()
        files.close()


class _Core:
    """Every part of the core, made in one place."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        paths: Paths,
        configured: Settings,
        kept: store.Store,
        files: RealFileSystem,
        uids: Uids,
    ) -> None:
        self._loop = loop
        self._hello_retry_s = FIRST_HELLO_RETRY_S
        marks, attempts = Marks(kept), Attempts(kept)
        boot_counter = marks.boot()
        policy = Policy(
            box=configured.box.box,
            boot_id=secrets.token_hex(8),
            levels=configured.profile.levels,
            retryable=frozenset(code for code, row in errors.table().items() if row.retry),
        )
        self._calls = Calls(loop, lambda: _client(configured))
        context = Context(policy, marks, self._feed, lambda: self._shell.state)
        outbox = Outbox(files, policy.boot_id)
        self._card = CardSide(
            context, self._calls, Trust(configured.card_anchors, marks), configured.identity
        )
        self._centre = CentreSide(context, self._calls, attempts, boot_counter)
        self._finger = FingerSide(context, configured.desk_anchors, configured.profile.sensor.ppmm)
        self._tunnel = TunnelSide(context)
        performer = Performer(context, outbox, self._card, self._centre, self._finger, self._tunnel)
        self._local = LocalSocket(loop, paths.agent_socket, uids.watchers, self._feed)
        self._shell = Shell(loop, policy, performer.perform, self._show)
        self._links(paths, uids)
        self._hotplug = _monitor(configured.profile)

    def _links(self, paths: Paths, uids: Uids) -> None:
        self._card.link = Link(
            self._loop, path=paths.card_socket, accepts=ipc.FromCard, peer_uid=uids.card,
            died="card-worker-died", heard=self._card.heard,
            connected=self._card.connected, lost=self._card.lost,
        )  # fmt: skip
        self._finger.link = Link(
            self._loop, path=paths.finger_socket, accepts=ipc.FromFinger, peer_uid=uids.finger,
            died="finger-worker-died", heard=self._finger.heard, lost=self._finger.lost,
        )  # fmt: skip
        self._tunnel.link = Link(
            self._loop, path=paths.tunnel_socket, accepts=ipc.FromTunnel, peer_uid=uids.tunnel,
            died="tunnel-worker-died", heard=self._tunnel.heard,
            connected=self._tunnel.connected, lost=self._tunnel.lost,
        )  # fmt: skip

    def run(self) -> None:
        """Start everything, serve, stop in order."""
        loop = self._loop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._shell.start()
        for side in (self._tunnel, self._card, self._finger):
            side.link.connect()
        if self._hotplug is not None:
            loop.add_reader(self._hotplug.fileno(), self._devices)
        self._hello()
        self._watchdog()
        notify.event(notify.Event.STARTED, "started")
        notify.ready()
        loop.run_forever()
        self._local.close()
        for side in (self._finger, self._card, self._tunnel):
            side.link.close()
        self._calls.close()
        notify.event(notify.Event.STOPPED, "stopped")

    def _feed(self, event: on.Event) -> None:
        self._shell.feed(event)

    def _show(self, state: at.State) -> None:
        self._local.show(state, time.monotonic() * 1000)
        notify.status(f"{type(state).__name__.lower()} {getattr(state, 'code', '')}".rstrip())
        if type(state) is not self._shown:
            self._shown = type(state)
            _journal(state)
        if self._stopping and not isinstance(state, at.Live | at.Closing):
            self._loop.call_soon(self._loop.stop)

    _stopping = False
    _shown: type | None = None

    def _stop(self) -> None:
        """The tunnel goes down first, as at every end."""
        notify.stopping()
        self._stopping = True
        self._loop.call_later(STOP_S, self._loop.stop)
        self._feed(on.Shutdown())
        if not isinstance(self._shell.state, at.Live | at.Closing):
            self._loop.stop()

    def _hello(self) -> None:
        """Tell the centre that the box is up; it tells the time. Tried until it answers."""

        def failed(code: str) -> None:
            notify.event(notify.Event.FAULT, code)
            self._loop.call_later(self._hello_retry_s, self._hello)
            self._hello_retry_s = min(2 * self._hello_retry_s, MAX_HELLO_RETRY_S)

        self._centre.hello_at_boot(lambda: None, failed)

    def _watchdog(self) -> None:
        """Only this loop may say that it is alive: it is what must not hang."""
        interval_s = notify.watchdog_interval_s()
        if interval_s is not None:
            notify.alive()
            self._loop.call_later(interval_s, self._watchdog)

    def _devices(self) -> None:
        if self._hotplug is not None and self._hotplug.read():
            notify.event(notify.Event.DEVICE, "usb-changed")
            if isinstance(self._shell.state, at.Idle):
                self._finger.end()  # a sensor that came is opened by a fresh process


def _client(configured: Settings) -> CentreClient:
    centre = configured.box.centre
    addresses = centre.addresses or (centre.host,)
    where = Where(tuple((address, centre.port) for address in addresses), centre.host)
    return CentreClient(where, configured.identity.client_context())


def _monitor(profile: Profile) -> Monitor | None:
    roles = dict.fromkeys(profile.sensor.usb, "sensor") | dict.fromkeys(
        profile.reader.usb, "reader"
    )
    try:
        monitor = Monitor(roles)  # type: ignore[arg-type]  # literals of Role
        monitor.refresh()
    except OSError:  # no udev here: cards come from PC/SC anyway
        return None
    return monitor


def _journal(state: at.State) -> None:
    match state:
        case at.Open():
            notify.event(notify.Event.SESSION_OPENED, "tunnel-up")
        case at.Spent():
            notify.event(notify.Event.SESSION_CLOSED, state.code)
        case at.Broken():
            notify.event(notify.Event.TUNNEL_NOT_DOWN, "tunnel-not-down")
        case _:
            pass
