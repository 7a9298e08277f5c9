"""The tunnel helper: the only process of a box that may change its network.

Own user, CAP_NET_ADMIN and nothing else. Speaks `ipc.ToTunnel` with the core; the core's end is the
tunnel's end. Does not know cards, fingers or the centre; opens no name, no file but its own socket.
Descriptors (sd_listen_fds): the core's listening socket; then, opened inside the session
namespace, a route and a generic netlink socket and two echo sockets, IPv4 and IPv6.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import os
import selectors
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from sdbox_agent import ipc, notify
from sdbox_agent.errors import DecodeError, Fault, SdboxError
from sdbox_agent.hardening import close_memory
from sdbox_agent.paths import Paths
from sdbox_agent.tunnel import carriage, config, path
from sdbox_agent.tunnel.alarm import Alarm, now_s
from sdbox_agent.tunnel.carried import Carried
from sdbox_agent.tunnel.guard import Guard
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.life import Do, Life, Over, Probe
from sdbox_agent.tunnel.plumbing import Plumbing
from sdbox_agent.tunnel.prober import Prober
from sdbox_agent.tunnel.psk import Offer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import FileDescriptorLike

_UCRED: Final = struct.Struct("iII")  # unix(7): pid, uid, gid


class Helper:
    """The event loop: one thread, one core, at most one tunnel."""

    def __init__(
        self,
        listener: socket.socket,
        probes: dict[int, socket.socket],
        plumbing: Plumbing,
        core_uid: int,
        carrier_path: Path,
    ) -> None:
        self._listener = listener
        self._probes = probes
        self._plumbing = plumbing
        self._core_uid = core_uid
        self._selector = selectors.DefaultSelector()
        self._alarm = Alarm()
        self._watchdog = notify.Watchdog()
        self._changes = path.changes()
        self._core: ipc.Channel[ipc.ToTunnel] | None = None
        self._session: int | None = None  # number of the prepared or open tunnel
        self._life: Life | None = None
        self._tunnel: config.Tunnel | None = None
        self._prober: Prober | None = None
        self._guard = Guard()
        self._walls: tuple[bytes, ...] = ()  # as they stood when the tunnel was opened
        self._carrier_path = carrier_path
        self._carried: Carried | None = None  # the other way than UDP, if there is one

    def run(self) -> NoReturn:
        """Until killed. With nothing up it wakes for its watchdog alone, if it has one."""
        self._plumbing.close()  # whatever a helper before us has left
        self._listener.settimeout(0)
        self._watch(self._listener, self._accept)
        self._watch(self._alarm, lambda: None)  # the beat follows whatever woke us
        self._watch(self._changes, self._way_changed)
        self._watch(self._guard.bell, self._rule_changed)
        notify.ready()
        try:
            while True:
                self._alarm.set(None if self._life is None else self._life.next_s())
                for key, _ in self._selector.select(self._watchdog.feed()):
                    if self._selector.get_map().get(key.fd) is key:  # not ended by one before it
                        key.data()
                self._beat()
        finally:
            self._plumbing.close()

    # -- the core --------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # whoever it was has left
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        if self._core is not None and self._core.ended:
            self._drop_core()  # a new core comes as the old one's end is still unread
        if _UCRED.unpack(peer)[1] != self._core_uid or self._core is not None:
            sock.close()
            return
        sock.settimeout(0)
        self._core = ipc.Channel(sock, ipc.ToTunnel, self._core_uid)
        self._watch(sock, self._hear)

    def _hear(self) -> None:
        assert self._core is not None
        try:
            message = self._core.receive()
        except (ipc.Closed, DecodeError, OSError):
            self._drop_core()
            return
        match message:
            case ipc.WarmTunnel():
                self._warm(message.n, userspace=message.userspace)
            case ipc.PrepareTunnel():
                self._prepare(message)
            case ipc.OpenTunnel():
                self._open(message)
            case ipc.ExtendLease():
                self._extend(message)
            case ipc.CloseTunnel():
                self._end(message.n, None)
            case ipc.TunnelStatus():
                up = self._life is not None and self._life.pulse is not None
                self._tell(ipc.TunnelState(n=message.n, up=up))

    def _warm(self, number: int, *, userspace: bool) -> None:
        if self._session is not None:
            self._protocol_broken(number)
            return
        self._session = number
        try:
            self._start(userspace=userspace)
        except Fault as fault:
            self._end(number, fault.code)
        with contextlib.suppress(Fault):  # `_open` asks again; what has not changed it finds read
            self._guard.words()

    def _prepare(self, message: ipc.PrepareTunnel) -> None:
        if self._session not in {None, message.n} or self._plumbing.keyed:
            self._protocol_broken(message.n)
            return
        self._session = message.n
        wg_key, kem_key = self._plumbing.make_keys()
        prepared = ipc.TunnelPrepared(n=message.n, wg_public_key=wg_key, kem_key=kem_key)
        self._tell(prepared)  # the card signs while…
        if self._core is None:
            return  # gone meanwhile, and everything with it
        try:
            if not self._plumbing.started:  # not warm
                self._start(userspace=message.userspace)
            self._plumbing.give_key()  # …this takes its time
        except Fault as fault:
            self._end(message.n, fault.code)

    def _start(self, *, userspace: bool) -> None:
        self._plumbing.start(userspace=userspace)
        if self._plumbing.pidfd is not None:
            self._watch(self._plumbing.pidfd, self._child_died)

    def _open(self, message: ipc.OpenTunnel) -> None:
        ready = message.n == self._session and self._plumbing.keyed
        if not ready or self._life is not None:
            self._protocol_broken(message.n)
            return
        start_s = now_s()
        try:
            tunnel = config.parse(
                peer=message.peer,
                endpoint=message.endpoint,
                addresses=message.addresses,
                vm=message.vm,
                lease_s=message.lease_s,
            )
            self._walls = self._guard.words()
            self._carried = self._other_way(message.carrier)
            offer = Offer(message.psk_salt, message.kem_ciphertext)
            first = None if self._carried is None else self._carried.way.first
            width = self._plumbing.open(tunnel, offer, message.receipt_sha256, first)
        except DecodeError:
            self._end(message.n, "centre-answer-invalid")
        except Fault as fault:
            self._end(message.n, fault.code)
        else:
            self._tunnel = tunnel
            self._prober = Prober(self._probes, tunnel.vm)
            lease_end_s = start_s + tunnel.lease_s
            self._life = Life(start_s, lease_end_s, width, carrier=self._carried is not None)
            self._watch(self._prober.sock, self._echo_came)

    def _other_way(self, carrier: ipc.Carrier | None) -> Carried | None:
        """Raises DecodeError for one that can't be."""
        return None if carrier is None else Carried(carrier, self._carrier_path, config.CARRIER_UID)

    def _extend(self, message: ipc.ExtendLease) -> None:
        if self._life is None:
            self._tell(ipc.Failed(n=message.n, code="lease-expired"))  # ours crossed theirs
        elif message.n != self._session:
            self._protocol_broken(message.n)
        else:
            with self._ending():
                self._life.extend(now_s(), message.lease_s)

    def _protocol_broken(self, number: int) -> None:
        """The core asks for what can't be: nothing stays up for a core that is lost."""
        self._end(self._session, "worker-protocol", tell=False)
        self._tell(ipc.Failed(n=number, code="worker-protocol"))

    def _drop_core(self) -> None:
        core, self._core = self._core, None
        self._end(self._session, None, tell=False)
        if core is not None:
            self._unwatch(core.sock)
            core.close()

    def _tell(self, message: ipc.Message) -> None:
        try:
            if self._core is not None:
                self._core.send(message)
        except (ipc.Closed, OSError):  # gone, or so stuck that its buffer is full
            self._drop_core()

    # -- the tunnel ------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Do what is due."""
        life = self._life
        if life is None:
            return
        with self._ending():
            for task in life.due(now_s()):
                if self._life is life:  # telling the core may find that it has left
                    self._do(task, life)

    def _do(self, task: Do | Probe, life: Life) -> None:
        assert self._tunnel is not None
        assert self._prober is not None
        match task:
            case Probe():
                self._prober.send(task.number, task.size_bytes)
            case Do.ASK:
                if self._plumbing.handshake_done():
                    life.handshake_seen(now_s())
            case Do.AGAIN:
                self._plumbing.introduce(self._tunnel)
            case Do.RISE:
                self._rise(life)
            case Do.CARRY:
                self._carry()
            case Do.COUNT:
                received, sent = self._plumbing.carried()
                if life.counted(now_s(), received, sent - self._prober.sent_bytes):
                    self._tell(ipc.TunnelActive(n=self._session or 0))
            case Do.NARROW:
                self._plumbing.narrow(life.width.mtu_bytes)

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """What ends the tunnel ends it here."""
        try:
            yield
        except carriage.Inspected as end:
            self._end(self._session, end.code, issuer=end.issuer)
        except (Over, SdboxError) as end:
            self._end(self._session, self._explained(end.code))

    def _explained(self, code: str) -> str:
        """`code`, by which the tunnel is over, or one that says more."""
        assert self._tunnel is not None
        if code == "handshake-timeout" and self._carried is not None and self._carried.silent:
            return "carrier-worker-died"  # it hangs: what it dials has a deadline before ours
        return self._plumbing.explain(code, self._tunnel.endpoint)

    def _rise(self, life: Life) -> None:
        assert life.handshake_s is not None
        assert life.answer_s is not None
        self._tell(
            ipc.TunnelUp(
                n=self._session or 0,
                handshake_ms=(life.handshake_s - life.opened_s) * 1000,
                vm_ms=(life.answer_s - life.opened_s) * 1000,
                carrier="tls" if self._carrying else "udp",
            )
        )

    @property
    def _carrying(self) -> bool:
        return self._carried is not None and self._carried.under_way

    def _carry(self) -> None:
        """UDP brought nothing: the carrier's turn. A Fault ends the tunnel."""
        assert self._carried is not None
        port = self._plumbing.let_carry(self._carried.way.first)
        self._watch(self._carried.ask(self._session or 0, port), self._carrier_spoke)

    def _carrier_spoke(self) -> None:
        """It has a port for WireGuard, which greets anew there; or it can't carry, or is gone."""
        assert self._carried is not None
        assert self._tunnel is not None
        with self._ending():
            there = config.Endpoint(config.LOOPBACK, self._carried.answer())
            self._tunnel = dataclasses.replace(self._tunnel, endpoint=there)
            self._plumbing.introduce(self._tunnel)

    def _echo_came(self) -> None:
        assert self._life is not None
        assert self._prober is not None
        reply = self._prober.receive()
        if reply is not None:
            self._life.answer_seen(now_s(), reply.sequence, reply.size_bytes)

    def _way_changed(self) -> None:
        self._changes.hush()
        if self._life is not None and self._tunnel is not None:
            with self._ending():
                if self._plumbing.find_way(self._tunnel):
                    self._life.way_changed(now_s())

    def _rule_changed(self) -> None:
        """By us, who fill sets, or by anybody: no tunnel outlives a change of the walls."""
        self._guard.bell.hush()
        with self._ending():
            if self._life is not None and self._guard.words() != self._walls:
                raise Fault("walls-missing")

    def _child_died(self) -> None:
        self._end(self._session, "tunnel-lost")

    def _end(
        self, number: int | None, code: str | None, *, tell: bool = True, issuer: str = ""
    ) -> None:
        """Everything down, then told; what can't be taken down, the next helper begins with."""
        self._drop_carrier()
        if self._plumbing.pidfd is not None:
            self._unwatch(self._plumbing.pidfd)
        if self._prober is not None:
            self._unwatch(self._prober.sock)
        self._session = self._life = self._tunnel = self._prober = None
        n = number or 0
        try:
            self._plumbing.close()
        except Fault as fault:
            self._tell(ipc.Failed(n=n, code=fault.code))
            sys.exit("sdbox-tunnel: something is still up")
        if tell and code is None:
            self._tell(ipc.TunnelClosed(n=n))
        elif tell and code is not None:
            self._tell(ipc.TunnelDown(n=n, code=code, issuer=issuer))

    def _drop_carrier(self) -> None:
        carried, self._carried = self._carried, None
        if carried is not None:
            if carried.sock is not None:
                self._unwatch(carried.sock)
            carried.close()

    # -- the selector ----------------------------------------------------------------------------

    def _watch(self, source: FileDescriptorLike, handler: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, handler)

    def _unwatch(self, source: FileDescriptorLike) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(source)


def main() -> NoReturn:
    """Entry point. Without its five descriptors it does not start."""
    parser = argparse.ArgumentParser(prog="sdbox-tunnel")
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--core-uid", type=int, required=True)
    parser.add_argument("--session-netns", type=Path, required=True)
    options = parser.parse_args()
    close_memory()  # nobody of our uid reads the key
    sockets = ipc.listen_descriptors(("core", "route", "wireguard", "echo4", "echo6"))
    if len(sockets) != 5:
        sys.exit("sdbox-tunnel: needs five sockets from the service manager")
    listener, route, wireguard, echo4, echo6 = sockets
    for probe in (echo4, echo6):
        probe.settimeout(0)
    namespace = os.open(options.session_netns, os.O_RDONLY | os.O_CLOEXEC)
    plumbing = Plumbing(Paths(options.root).tunnel_runtime, Links(route), namespace, wireguard)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    carriers = Paths(options.root).carrier_socket
    gc.freeze()  # no collection looks at what is there by now: 9 ms, in which a card may go
    Helper(listener, {4: echo4, 6: echo6}, plumbing, options.core_uid, carriers).run()


if __name__ == "__main__":
    main()
