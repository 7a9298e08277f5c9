"""What a person does without us, for comparison: wireguard-go, `wg set`, an address and a route.

No walls, no session namespace, no lease: the least that carries a packet. Twice: resident, with the
interpreter running and its netlink socket open, and as `wg-quick up` does it. A VM's first answer
to an echo request is the end of both.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import time
from ipaddress import IPv4Interface
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hil.net.peer import OWN4, VM4, FarPeer
from hil.net.topology import Topology, allow_echo_sockets
from sdbox_agent.tunnel import echo, rtnetlink
from sdbox_agent.tunnel.kernel import Links
from sdbox_agent.tunnel.link import WireGuardGo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_DIRECTORY: Final = Path("/run/wireguard")
_ANSWER_S: Final = 10.0
_QUICK: Final = """\
[Interface]
PrivateKey = {private}
Address = {own}/32
[Peer]
PublicKey = {public}
PresharedKey = {psk}
Endpoint = {endpoint}
AllowedIPs = {vm}/32
PersistentKeepalive = 25
"""
# Says when it is asked to begin, and when it is up; ends with its standard input, and everything
# with it: `unshare --kill-child` takes wireguard-go along, which has left for the background.
_SHELL: Final = 'read x; wg-quick up "$1" 2>&1 || exit 1; echo up; read x; wg-quick down "$1" 2>&1'


class ByHand:
    """Box, gateway and VM of its own, from `with` to its end; one interface at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name = f"hand{os.getpid()}"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ByHand:
        with contextlib.ExitStack() as stack:
            self.topology = stack.enter_context(Topology())
            self.topology.box.run(allow_echo_sockets)
            self._far = stack.enter_context(FarPeer(self.topology, f"hfar{os.getpid()}"))
            self._links = self.topology.box.run(Links.here)
            stack.callback(self._links.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def up(self) -> Iterator[float]:
        """By `wg set` and netlink; milliseconds to the VM's answer."""
        private, psk = self._admitted()
        keys = {"private": private, "psk": psk}
        for name, key in keys.items():
            (self._root / name).write_bytes(base64.b64encode(key))
        wireguard = WireGuardGo(self._name, _DIRECTORY)
        start_s = time.perf_counter()
        try:
            with self.topology.box.entered():
                wireguard.start()
            self._set_by_wg()
            index = self._links.index(self._name)
            assert index is not None
            self._links.run(
                [
                    rtnetlink.raise_up(index),
                    rtnetlink.add_address(index, IPv4Interface(f"{OWN4}/32")),
                    rtnetlink.default_route(index, 4),
                ]
            )
            self._answered()
            yield (time.perf_counter() - start_s) * 1000
        finally:
            wireguard.stop()

    def _set_by_wg(self) -> None:
        words = [
            *("wg", "set", self._name, "private-key", str(self._root / "private")),
            *("peer", base64.b64encode(self._far.public).decode()),
            *("preshared-key", str(self._root / "psk"), "endpoint", self._far.endpoint4),
            *("allowed-ips", f"{VM4}/32", "persistent-keepalive", "25"),
        ]
        subprocess.run(words, check=True)

    def quick_ms(self) -> float:
        """By `wg-quick up`; milliseconds to the VM's answer. It is down when this returns."""
        private, psk = self._admitted()
        configuration = self._root / f"{self._name}.conf"
        text = _QUICK.format(
            private=base64.b64encode(private).decode(),
            psk=base64.b64encode(psk).decode(),
            public=base64.b64encode(self._far.public).decode(),
            own=OWN4,
            vm=VM4,
            endpoint=self._far.endpoint4,
        )
        configuration.touch(mode=0o600)
        configuration.write_text(text)
        with self._shell(configuration) as shell:
            assert shell.stdin is not None
            assert shell.stdout is not None
            start_s = time.perf_counter()
            shell.stdin.write(b"go\n")
            shell.stdin.flush()
            if b"up\n" not in shell.stdout:  # a line of it, or its end
                raise RuntimeError("wg-quick has failed")
            self._answered()
            took_ms = (time.perf_counter() - start_s) * 1000
            shell.stdin.write(b"enough\n")
            shell.stdin.flush()
            shell.stdout.read()
        return took_ms

    @contextlib.contextmanager
    def _shell(self, configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
        inside = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net={self.topology.box.path}"]
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        argv = [*inside, *apart, "sh", "-c", _SHELL, "sh", str(configuration)]
        environment = {**os.environ, "WG_QUICK_USERSPACE_IMPLEMENTATION": "wireguard-go"}
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as shell:
            try:
                yield shell
            finally:
                shell.kill()

    def _admitted(self) -> tuple[bytes, bytes]:
        """A new pair's private key and a preshared one, known at the gateway."""
        private, psk = os.urandom(32), os.urandom(32)
        public = X25519PrivateKey.from_private_bytes(private).public_key()
        self._far.admit(public.public_bytes_raw(), psk)
        return private, psk

    def _answered(self) -> None:
        """The VM's answer to the first request, which waits for the handshake."""
        kind = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        with self.topology.box.socket(*kind) as sock:
            sock.settimeout(_ANSWER_S)
            sock.sendto(echo.request(4, 1, bytes(echo.COOKIE_BYTES)), (VM4, 0))
            sock.recv(256)
