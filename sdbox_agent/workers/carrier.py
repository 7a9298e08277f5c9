"""The carrier: WireGuard's datagrams over TLS, where a host lets no UDP through.

Own user; the network, no capability, no key of the box, no file. Each connection of the tunnel
helper starts one (Accept=yes): it carries one tunnel, and is gone when either of them, or the
gateway, lets go. What it carries was sealed by WireGuard before, and is opened by WireGuard after.
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from sdbox_agent import ipc
from sdbox_agent.errors import DecodeError, SdboxError
from sdbox_agent.hardening import close_memory
from sdbox_agent.tunnel import carriage
from sdbox_agent.tunnel.carriage import Inspected
from sdbox_agent.tunnel.config import LOOPBACK
from sdbox_agent.tunnel.dial import HungUp, dial
from sdbox_agent.tunnel.relay import Ended, Relay, loopback

if TYPE_CHECKING:
    import socket

ASKED_WITHIN_S: Final = 5.0  # who connects has something to carry

Helper = ipc.Channel[carriage.ToCarrier]


def serve(helper: Helper) -> None:
    """Carry one tunnel, from the helper's word to the end of it."""
    helper.sock.settimeout(ASKED_WITHIN_S)
    try:
        asked = helper.receive()
        helper.sock.settimeout(0)
        _serve(helper, asked)
    except (HungUp, Ended, ipc.Closed, OSError, DecodeError):
        return  # the helper sees the end of the connection


def _serve(helper: Helper, asked: carriage.Carry) -> None:
    within_s = min(asked.until_s - time.monotonic(), carriage.DIAL_S)
    if within_s <= 0:
        raise Ended  # started too late to say anything of the network
    try:
        tls = dial(carriage.parse(asked.carrier), helper.sock, within_s)
    except Inspected as found:
        helper.send(carriage.NotCarried(n=asked.n, code=found.code, issuer=found.issuer))
    except SdboxError as error:
        helper.send(carriage.NotCarried(n=asked.n, code=error.code))
    else:
        with contextlib.closing(Relay(tls, loopback())) as relay:
            relay.udp.connect((str(LOOPBACK), asked.port))
            helper.send(carriage.Carrying(n=asked.n, port=relay.udp.getsockname()[1]))
            _carry(relay, helper.sock)


def _carry(relay: Relay, hangup: socket.socket) -> None:
    """Until the helper says anything at all, or either end is gone (Ended)."""
    with selectors.DefaultSelector() as selector:
        selector.register(hangup, selectors.EVENT_READ)
        selector.register(relay.udp, selectors.EVENT_READ)
        watched = selectors.EVENT_READ
        selector.register(relay.tls, watched)
        while True:
            for key, events in selector.select():
                if key.fileobj is hangup:
                    return
                relay.ready(key.fileobj, events)
            if relay.events != watched:
                watched = relay.events
                selector.modify(relay.tls, watched)


def main() -> None:
    """Entry point. Its one descriptor is the helper's connection."""
    parser = argparse.ArgumentParser(prog="sdbox-carrier")
    parser.add_argument("--tunnel-uid", type=int, required=True)
    options = parser.parse_args()
    close_memory()
    sockets = ipc.listen_descriptors()
    if len(sockets) != 1:
        sys.exit("sdbox-carrier: needs one connection from the service manager")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(ipc.Channel(sockets[0], carriage.ToCarrier, options.tunnel_uid))


if __name__ == "__main__":
    main()
