"""The gateway's end of carriers [door]: TLS on 443 in, WireGuard's own port on the loopback out.

A process of its own: the network, no capability, no key but that of its certificate. A connection
gives a token first; the gateway says whose it is, and to which port of its own it may send: nowhere
else, so this is no relay for anybody. One thread, one selector.
"""

from __future__ import annotations

import logging
import selectors
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.tunnel import frames
from sdbox_agent.tunnel.config import LOOPBACK
from sdbox_agent.tunnel.relay import Ended, Relay, loopback
from sdbox_centre.loop import Loop

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

GREETING_S: Final = 5.0  # handshake and token
SILENT_S: Final = 20.0  # nothing from WireGuard: its peer was removed, or never came
TICK_S: Final = 0.1  # how often rates and silence are looked at
MAX_GUESTS: Final = 64  # connections without a token yet; beyond, the oldest goes

log = logging.getLogger("sdbox.carrier")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is carried."""

    connections: int
    rate_bytes_s: int  # from each box


class _Guest:
    """A connection that has not given its token yet."""

    def __init__(self, tls: ssl.SSLSocket, ends_s: float) -> None:
        self.tls = tls
        self.ends_s = ends_s
        self.events = selectors.EVENT_READ
        self._shaken = False
        self._said = b""

    def token(self) -> bytes | None:
        """It, once it is all here. Raises OSError, DecodeError."""
        self.events = selectors.EVENT_READ
        try:
            if not self._shaken:
                self.tls.do_handshake()
                self._shaken = True
            while len(self._said) < frames.GREETING_BYTES:
                data = self.tls.recv(frames.GREETING_BYTES - len(self._said))
                if not data:
                    raise ConnectionResetError
                self._said += data
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLWantWriteError:
            self.events = selectors.EVENT_WRITE
            return None
        return frames.parse_greeting(self._said)


class _Carried:
    """A connection whose token the gateway took."""

    def __init__(self, relay: Relay, now_s: float) -> None:
        self.relay = relay
        self.paused = False  # it sent all it may before the next tick
        self._received_bytes = 0  # until the last tick
        self._answered = 0  # datagrams of WireGuard's until it was last heard
        self._heard_s = now_s

    @property
    def events(self) -> int:
        """What its connection is watched for."""
        events = self.relay.events
        return events & ~selectors.EVENT_READ if self.paused else events

    def spend(self, allowed_bytes: float) -> None:
        """Has it had its share of this tick?"""
        self.paused = self.relay.received_bytes - self._received_bytes > allowed_bytes

    def tick(self, now_s: float) -> None:
        """Another share. Raises Ended if WireGuard has long been silent."""
        self.paused, self._received_bytes = False, self.relay.received_bytes
        if self.relay.taken != self._answered:
            self._answered, self._heard_s = self.relay.taken, now_s
        elif now_s > self._heard_s + SILENT_S:
            raise Ended


class CarrierServer:
    """Serves one listening socket until `stop`."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        admit: Callable[[bytes, int], int],
        limits: Limits,
    ) -> None:
        """`admit`: a token and the port we send from; WireGuard's port, or SdboxError.

        It is the one thing that is waited for: a gateway that does not answer at once is dead, and
        with it all that is carried.
        """
        self._listener = listener
        self._context = context
        self._admit = admit
        self._limits = limits
        self._loop = Loop()
        self._guests: dict[_Guest, None] = {}  # in the order they came
        self._carried: dict[_Carried, None] = {}
        self._tick_s = 0.0
        self._stopping = False

    def run(self) -> None:
        """Serve."""
        self._listener.settimeout(0)
        self._loop.watch(self._listener, selectors.EVENT_READ, None)
        try:
            while not self._stopping:
                self._turn()
        finally:
            for guest in tuple(self._guests):
                self._turn_away(guest)
            for carried in tuple(self._carried):
                self._end(carried)
            self._listener.close()
            self._loop.close()

    @property
    def carried(self) -> int:
        """How many have been let in and are still there."""
        return len(self._carried)

    def stop(self) -> None:
        """End `run`, from a signal handler or another thread."""
        self._stopping = True
        self._loop.wake()

    def _turn(self) -> None:
        busy = self._guests or self._carried
        for owner, sock, events in self._loop.ready(TICK_S if busy else None):
            if isinstance(owner, _Guest) and owner in self._guests:
                self._hear(owner)
            elif isinstance(owner, _Carried) and owner in self._carried:
                self._carry(owner, sock, events)
            elif sock is self._listener:
                self._accept()
        now_s = time.monotonic()
        if now_s >= self._tick_s:
            self._tick_s = now_s + TICK_S
            self._tick(now_s)

    def _tick(self, now_s: float) -> None:
        for guest in [guest for guest in self._guests if guest.ends_s < now_s]:
            self._turn_away(guest)
        for carried in tuple(self._carried):
            try:
                carried.tick(now_s)
                self._loop.watch(carried.relay.tls, carried.events, carried)
            except Ended:
                self._end(carried)

    def _accept(self) -> None:
        with suppress(OSError):  # whoever it was has left
            plain, _ = self._listener.accept()
            plain.settimeout(0)
            tls = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            guest = _Guest(tls, time.monotonic() + GREETING_S)
            if len(self._guests) >= MAX_GUESTS:
                self._turn_away(next(iter(self._guests)))
            self._guests[guest] = None
            self._loop.watch(tls, guest.events, guest)

    def _hear(self, guest: _Guest) -> None:
        try:
            token = guest.token()
            if token is None:
                self._loop.watch(guest.tls, guest.events, guest)
            else:
                self._welcome(guest, token)
        except (OSError, DecodeError):
            self._turn_away(guest)
        except SdboxError as error:
            log.info("refused: %s", error.code)
            self._turn_away(guest)

    def _welcome(self, guest: _Guest, token: bytes) -> None:
        """From a guest to one who is carried. Raises SdboxError, OSError."""
        if len(self._carried) >= self._limits.connections:
            raise ConnectionRefusedError
        udp = loopback()
        try:
            udp.connect((str(LOOPBACK), self._admit(token, udp.getsockname()[1])))
            guest.tls.send(frames.WELCOME)
            relay = Relay(guest.tls, udp)
        except BaseException:
            udp.close()
            raise
        del self._guests[guest]
        carried = _Carried(relay, time.monotonic())
        self._carried[carried] = None
        self._loop.watch(relay.udp, selectors.EVENT_READ, carried)
        self._loop.watch(relay.tls, carried.events, carried)
        log.info("carried: %d", self.carried)

    def _carry(self, carried: _Carried, sock: object, events: int) -> None:
        try:
            carried.relay.ready(sock, events)
        except Ended:
            self._end(carried)
            return
        carried.spend(self._limits.rate_bytes_s * TICK_S)
        self._loop.watch(carried.relay.tls, carried.events, carried)

    def _turn_away(self, guest: _Guest) -> None:
        del self._guests[guest]
        self._loop.watch(guest.tls, 0, guest)
        guest.tls.close()

    def _end(self, carried: _Carried) -> None:
        del self._carried[carried]
        self._loop.watch(carried.relay.tls, 0, carried)
        self._loop.watch(carried.relay.udp, 0, carried)
        carried.relay.close()


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 only, no session tickets. Raises OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    for file in (certificate, key):
        file.open("rb").close()  # OpenSSL does not say which of them it can't read
    context.load_cert_chain(certificate, key)
    return context
