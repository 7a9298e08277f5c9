"""Puts the core together and keeps it running until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import secrets
import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from sdbox_agent import errors, hardening, ipc, notify
from sdbox_agent.audit.outbox import Outbox
from sdbox_agent.centre.boxlink import BoxLink, Down, Told
from sdbox_agent.daemon import genuine, settings, told
from sdbox_agent.daemon.calls import Calls
from sdbox_agent.daemon.card_side import CardSide
from sdbox_agent.daemon.centre_side import CentreSide
from sdbox_agent.daemon.context import Context
from sdbox_agent.daemon.finger_side import FingerSide
from sdbox_agent.daemon.freshness import Freshness
from sdbox_agent.daemon.greeting import Greeting
from sdbox_agent.daemon.hotplug import Came, Monitor, Went, sensors_now
from sdbox_agent.daemon.link_side import LinkSide, Parts
from sdbox_agent.daemon.links import Link
from sdbox_agent.daemon.local import LocalSocket
from sdbox_agent.daemon.patience import Patience
from sdbox_agent.daemon.perform import Performer
from sdbox_agent.daemon.place_side import PlaceSide
from sdbox_agent.daemon.published import Published
from sdbox_agent.daemon.received import Received
from sdbox_agent.daemon.shell import Shell
from sdbox_agent.daemon.trust import Trust
from sdbox_agent.daemon.tunnel_side import TunnelSide
from sdbox_agent.errors import Fault
from sdbox_agent.identity import machine, place, surroundings
from sdbox_agent.profile import field
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from sdbox_agent.session.policy import Policy
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
from sdbox_agent.state.marks import Marks
from sdbox_agent.state.trusted import FileRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sdbox_agent.daemon.settings import Settings
    from sdbox_agent.identity.place import Facts
    from sdbox_agent.paths import Paths
    from sdbox_agent.profile.schema import Profile, Sensor

    Feed = Callable[[on.Event], None]

STOP_S: Final = 2.8  # closing takes 2 s at most; the rest is for the last word to the centre
READY_S: Final = 3.0  # a box without reader or pcscd is ready all the same, and says what is wrong
FINGER_RETRY_S: Final = 30.0  # a box without sensor starts no process each 2 s; a card asks at once


@dataclass(frozen=True, slots=True)
class Uids:
    """Who the workers are, and who may speak at the local socket."""

    card: int
    finger: int
    tunnel: int
    watchers: frozenset[int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the disk held, and what is to be told of it."""

    store: store.Store
    files: RealFileSystem
    parts: Facts  # of the machine, as at this start
    standing: tuple[str, ...]


def run(paths: Paths, profiles: Path, uids: Uids) -> None:
    """Run until SIGTERM. Raises Fault if the box can't start."""
    hardening.close_memory()
    configured = settings.read(paths, profiles)
    files = _state_directory(paths.state)
    try:
        files.lock()
    except BlockingIOError:  # fault 62: a second agent on the same box ends here
        raise Fault("already-running") from None
    kept = store.load(files, configured.identity.counter())
    parts = machine.facts(paths.root)
    standing = genuine.examine(
        kept.state, {**parts, **_around(paths, configured)}, copyable=configured.identity.copyable
    )
    loop = asyncio.new_event_loop()
    try:
        _Core(loop, paths, configured, Kept(kept, files, parts, standing), uids).run()
    finally:
        loop.close()
        files.close()


def _around(paths: Paths, configured: Settings) -> Facts:
    """What stands around the box now."""
    reader, sensor = configured.profile.reader, configured.sensor
    return surroundings.facts(paths.root, reader.usb, sensor.usb)


def _state_directory(path: Path) -> RealFileSystem:
    """Raises FileRefused if it is missing, or it or a file in it is not ours alone (fault 61)."""
    with contextlib.ExitStack() as stack:
        try:
            files = RealFileSystem(path)
            stack.callback(files.close)
            files.check()
        except OSError as error:
            reason = error.strerror or str(error)
            raise FileRefused("state-damaged", str(path), 0, reason) from None
        stack.pop_all()
    return files


def _local_socket(
    loop: asyncio.AbstractEventLoop,
    path: Path,
    uids: frozenset[int],
    feed: Feed,
    standing: tuple[str, ...],
) -> LocalSocket:
    """Raises FileRefused if the service manager has not made its directory, or not for us."""
    try:
        return LocalSocket(loop, path, uids, feed, standing)
    except OSError as error:
        raise FileRefused("config-invalid", str(path), 0, str(error.strerror)) from None


class _Core:
    """Every part of the core, made in one place."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        paths: Paths,
        configured: Settings,
        kept: Kept,
        uids: Uids,
    ) -> None:
        self._loop = loop
        marks, attempts = Marks(kept.store), Attempts(kept.store)
        marks.settings(configured.box.serial)
        boot_counter = marks.boot()
        policy = Policy(
            box=configured.box.box,
            boot_id=secrets.token_hex(8),
            levels=configured.profile.levels,
            retryable=frozenset(code for code, row in errors.table().items() if row.retry),
        )
        self._patience = patience = Patience(loop.time, secrets.SystemRandom().random)
        self._calls = Calls(loop, configured.client, patience.busy)
        context = Context(policy, marks, self._feed, lambda: self._shell.state)
        outbox = Outbox(kept.files, policy.boot_id)
        for code in kept.standing:
            _note(outbox, context, code)
        self._place = PlaceSide(
            kept.store,
            kept.parts,
            lambda: _around(paths, configured),
            secrets.token_bytes(place.SALT_BYTES),
            kept.standing,
        )
        self._place.new = lambda code: _note(outbox, context, code)
        self._place.show = self._show_standing
        trust = Trust(
            configured.card_anchors,
            configured.desk_anchors,
            marks,
            configured.kinds,
            test_issuers=configured.profile.card.test_issuers,
            publish=Published(paths.crls).put,
        )
        received = Received(outbox, context)
        takes = partial(field.takes, configured.profile.reader.names)
        self._card = CardSide(context, self._calls, trust, configured.identity, received, takes)
        self._centre = CentreSide(
            context, self._calls, attempts, boot_counter, received, self._place.greeted
        )
        self._finger = FingerSide(
            context,
            configured.desk_anchors,
            trust.desk_lists,
            configured.sensor.kind,
            secrets.token_bytes(32),
        )
        proxy = configured.box.proxy
        self._tunnel = TunnelSide(
            context,
            None if proxy is None else str(proxy),
            userspace=configured.profile.network.wireguard == "userspace",
        )
        self._greeting = Greeting(
            loop,
            self._centre.hello_at_boot,
            patience,
            lambda code: notify.event(notify.Event.FAULT, code),
        )
        performer = Performer(
            context, outbox, self._card, self._centre, self._finger, self._tunnel, self._greeting
        )
        self._local = _local_socket(
            loop, paths.agent_socket, uids.watchers, self._feed, kept.standing
        )
        self._link_calls = Calls(loop, configured.client)
        self._link = LinkSide(
            loop,
            context,
            outbox,
            self._link_calls,
            boot_counter,
            Parts(
                readers=lambda: self._card.readers,
                sensor=lambda: self._finger.there,
                standing=lambda: self._place.standing,
                refresh_lists=self._card.refresh_lists,
                show=self._local.show_link,
                placed_s=lambda: self._place.placed_s,
                seen=self._place.seen,
            ),
        )
        self._vouching = configured.vouching
        self._boxlink = BoxLink(
            configured.client, self._link.claim, self._told, patience, time.monotonic
        )
        if self._vouching is not None:
            self._freshness = Freshness(
                loop,
                vouching=self._vouching,
                ask=self._link_calls.ask,
                patience=patience,
                renewed=self._boxlink.anew,
                trouble=lambda code: notify.event(notify.Event.FAULT, code),
            )
            self._freshness.begin()
        self._shell = Shell(loop, policy, performer.perform, self._show, patience.again_s)
        self._links(paths, uids)
        self._hotplug, self._there = _monitor(configured.profile, configured.sensor)

    def _links(self, paths: Paths, uids: Uids) -> None:
        self._card.link = Link(
            self._loop, path=paths.card_socket, accepts=ipc.FromCard, peer_uid=uids.card,
            died="card-worker-died", heard=self._card.heard,
            connected=self._card.connected, lost=self._card.lost,
        )  # fmt: skip
        self._finger.link = Link(
            self._loop, path=paths.finger_socket, accepts=ipc.FromFinger, peer_uid=uids.finger,
            died="finger-worker-died", heard=self._finger.heard, lost=self._finger.lost,
            max_retry_s=FINGER_RETRY_S,
        )  # fmt: skip
        self._tunnel.link = Link(
            self._loop, path=paths.tunnel_socket, accepts=ipc.FromTunnel, peer_uid=uids.tunnel,
            died="tunnel-worker-died", heard=self._tunnel.heard,
            connected=self._tunnel.connected, lost=self._tunnel.lost,
        )  # fmt: skip

    def run(self) -> None:
        """Start everything, serve, stop in order."""
        loop = self._loop
        loop.set_exception_handler(self._unforeseen)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        self._shell.start()
        for side in (self._tunnel, self._card, self._finger):
            side.link.connect()
        if self._hotplug is not None:
            loop.add_reader(self._hotplug.fileno(), self._devices)
        self._greeting.begin()
        uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._boxlink.start(self._patience.first_s(uptime_s))
        self._watchdog()
        notify.event(notify.Event.STARTED, "started")
        self._record_refused(self._there)
        self._card.looked = self._say_ready
        loop.call_later(READY_S, self._say_ready)
        gc.freeze()  # no collection looks at what is there by now: 35 ms, in which a card may go
        loop.run_forever()
        self._boxlink.close()
        self._link_calls.close()
        self._local.close()
        for side in (self._finger, self._card, self._tunnel):
            side.link.close()
        self._calls.close()
        notify.event(notify.Event.STOPPED, "stopped")

    def _told(self, told: Told) -> None:
        """From the link's thread. A key that the centre does not take is not shown again."""
        if self._vouching is not None and told == Down("box-refused"):
            self._vouching.forget()
        self._link.told(told)

    def _say_ready(self) -> None:
        """Once: a card put in from now on is a new one, and begins a session."""
        if not self._ready:
            self._ready = True
            notify.ready()

    def _feed(self, event: on.Event) -> None:
        if self._stopping and isinstance(event, on.CardInserted):
            return  # nothing begins any more
        self._shell.feed(event)

    def _unforeseen(self, _loop: asyncio.AbstractEventLoop, _context: dict[str, object]) -> None:
        """A bug in a callback closes the session. Its text may quote anything: nothing is told."""
        notify.event(notify.Event.BUG, "unforeseen")
        state = self._shell.state
        if isinstance(state, at.Live):
            self._feed(on.Failed(state.session.n, "unforeseen"))

    def _show(self, state: at.State) -> None:
        self._local.show(state, time.monotonic() * 1000)
        self._link.changed(state)
        self._say_status(told.line(state))
        if type(state) is not self._shown:
            self._shown = type(state)
            told.record(state)
        if self._stopping and not isinstance(state, at.Live | at.Closing):
            self._calls.when_at_rest(self._loop.stop)

    def _show_standing(self, standing: tuple[str, ...]) -> None:
        self._local.show_standing(standing)
        self._link.changed_standing()

    def _say_status(self, text: str) -> None:
        """Not twice: whoever listens takes its time."""
        if text != self._status:
            self._status = text
            notify.status(text)

    _status = ""
    _ready = False
    _stopping = False
    _shown: type | None = None

    def _stop(self) -> None:
        """The tunnel goes down first, as at every end; then the centre is told, if it listens."""
        notify.stopping()
        self._stopping = True
        self._loop.call_later(STOP_S, self._loop.stop)
        self._feed(on.Shutdown())
        if not isinstance(self._shell.state, at.Live | at.Closing):
            self._loop.stop()

    def _watchdog(self) -> None:
        """Only this loop may say that it is alive: it is what must not hang."""
        interval_s = notify.watchdog_interval_s()
        if interval_s is not None:
            notify.alive()
            self._loop.call_later(interval_s, self._watchdog)

    def _devices(self) -> None:
        if self._hotplug is not None and (news := self._hotplug.read()):
            notify.event(notify.Event.DEVICE, "usb-changed")
            self._record_refused(news)
            sensors = sensors_now(news, self._hotplug.table.devices)
            if sensors is not None:
                self._finger.devices_changed(sensors)

    def _record_refused(self, news: Iterable[Came | Went]) -> None:
        """Once for each time it is plugged in; what was there before us, at our start."""
        for device in (one.device for one in news if isinstance(one, Came) and one.device.refused):
            notify.event(
                notify.Event.USB_REFUSED,
                "usb-refused",
                usb_id=device.usb_id,
                usb_port=device.port,
            )


def _note(outbox: Outbox, context: Context, code: str) -> None:
    """What is so of the box from now on."""
    with contextlib.suppress(errors.SdboxError):  # no room in the record: a session tells
        outbox.append(code, result=errors.explain(code).result, utc_s=context.known_utc_s())
    if code != genuine.COPYABLE:  # so it was made, and nobody can mend it today
        notify.event(notify.Event.FAULT, code)


def _monitor(profile: Profile, sensor: Sensor) -> tuple[Monitor | None, tuple[Came | Went, ...]]:
    """And what is plugged in already."""
    roles = dict.fromkeys(sensor.usb, "sensor") | dict.fromkeys(profile.reader.usb, "reader")
    try:
        monitor = Monitor(roles)  # type: ignore[arg-type]  # literals of Role
        return monitor, monitor.refresh()
    except OSError:  # no udev here: cards come from PC/SC anyway
        return None, ()
