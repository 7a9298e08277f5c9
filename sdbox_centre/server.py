"""The API's TLS front [door]: TLS 1.3, client certificates, deadlines; and its process.

uvicorn shows an application no client certificate and sets no deadline on a request. This subclass
of its h11 protocol does both, through `app_state`, which every request's scope is copied from: an
internal name, so uvicorn is pinned and the tests hold it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from sdbox_centre.clocks import utc_s
from sdbox_centre.connections import end, ends_s, fingerprint_of
from sdbox_centre.vouching import Pending

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from sdbox_centre.connections import Connections

REQUEST_S: Final = 5.0  # from its first byte (or the handshake) to its last
HANDSHAKE_S: Final = 5.0
KEEP_ALIVE_S: Final = 75  # longer than half a lease: renewals reuse their connection
DEAD_S: Final = 30  # a box that takes nothing for so long has gone, whatever TCP hopes
ANONYMOUS_S: Final = 15.0  # the whole connection of somebody without a certificate
MAX_CONNECTIONS: Final = 4096  # of each box three: its stream, its health, its session's calls
MAX_HEADER_BYTES: Final = 16 * 1024
STREAM_BYTES: Final = 16 * 1024  # asyncio would allocate 256 KiB for each TLS connection

log = logging.getLogger("sdbox.centre")


class BoxProtocol(H11Protocol):
    """One connection of one box."""

    known: Connections  # where it is entered: set by `make_server`
    anonymous = False  # may somebody without a certificate ask for one (sdbox_centre.est)?
    _fingerprint = b""
    _lost = False
    _leave: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        tls = transport.get_extra_info("ssl_object")
        peer = None if tls is None else tls.getpeercert(binary_form=True)
        self.app_state = {
            **self.app_state,
            "peer_certificate": peer,
            "drop": partial(end, transport),
            "gone": lambda: self._lost,
            "pending": Pending(),
        }
        self._late: asyncio.TimerHandle | None = None
        # asyncio does so only for sockets whose `proto` it knows; without it each answer, two
        # writes, waits 40 ms for the box's delayed acknowledgement
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_S * 1000)
        super().connection_made(transport)
        if not peer and not self.anonymous:
            transport.abort()  # the context requires one; a context that does not serves nobody
            return
        if peer:
            self._fingerprint = fingerprint_of(peer)
            self.known.add(self._fingerprint, transport)
            left_s = max(0.0, ends_s(peer) - utc_s())
            self._leave = self.loop.call_later(left_s, end, transport)
        else:
            self.known.add_anonymous(transport, transport.get_extra_info("peername")[0])
            self._leave = self.loop.call_later(ANONYMOUS_S, end, transport)
        self._expect_request()

    @override
    def data_received(self, data: bytes) -> None:
        if self._late is None and not self._being_answered():
            self._expect_request()
        super().data_received(data)
        if self._being_answered():
            self._no_longer_late()

    @override
    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._being_answered():  # a request may already stand in the buffer, half or whole
            self._no_longer_late()
            trailing, _ = self.conn.trailing_data
            if trailing or self._half_read():
                self._expect_request()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._no_longer_late()
        if self._leave is not None:
            self._leave.cancel()
        self.known.discard(self._fingerprint, self.transport)
        super().connection_lost(exc)

    def _being_answered(self) -> bool:
        """The last request is here whole, and its answer is not yet out."""
        cycle = self.cycle
        return bool(cycle) and not cycle.more_body and not cycle.response_complete

    def _half_read(self) -> bool:
        return bool(self.cycle) and self.cycle.more_body and not self.cycle.response_complete

    def _expect_request(self) -> None:
        self._no_longer_late()
        self._late = self.loop.call_later(REQUEST_S, end, self.transport)

    def _no_longer_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def tls_context(
    certificate: Path, key: Path, box_anchors: Path, *, anonymous: bool = False
) -> ssl.SSLContext:
    """TLS 1.3 only, a client certificate of a box authority always, no session tickets.

    A resumed session would outlive its certificate's revocation; so there are none. With
    `anonymous` a certificate may be missing, but not be another: boxes that have none yet ask for
    one, and are answered nothing else (api.fingerprint).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL if anonymous else ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.num_tickets = 0
    for file in (certificate, key, box_anchors):
        file.open("rb").close()  # OpenSSL does not say which of them it can't read
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(box_anchors)
    return context


def make_server(app: FastAPI, context: ssl.SSLContext) -> uvicorn.Server:
    """A uvicorn that knows boxes by their certificates and believes no header."""
    tame_asyncio_tls()
    known = {"known": app.state.connections, "anonymous": app.state.anonymous}
    protocol = type("Protocol", (BoxProtocol,), known)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        ssl_context_factory=lambda _config, _default: context,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=3,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        reset_contextvars=True,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Ends what would not end by itself before it waits for the rest."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.streams.drop_all()
        await super().shutdown(sockets)


def tame_asyncio_tls() -> None:
    """Smaller buffers, a shorter handshake deadline, and alerts that are sent.

    asyncio drops the alert that ends a failed handshake, so a box whose certificate is refused
    could not tell that from a server that died. All these names are internal to CPython 3.11.
    """
    constants: Any = asyncio.constants  # type: ignore[attr-defined]
    constants.SSL_HANDSHAKE_TIMEOUT = HANDSHAKE_S
    protocol: Any = asyncio.sslproto.SSLProtocol  # type: ignore[attr-defined]
    protocol.max_size = STREAM_BYTES
    if "_sdbox_done" not in vars(protocol):
        protocol._sdbox_done = protocol._on_handshake_complete
        protocol._on_handshake_complete = _with_alert


def _with_alert(protocol: Any, error: BaseException | None) -> None:  # noqa: ANN401  internal type
    if error is not None:
        protocol._process_outgoing()
    protocol._sdbox_done(error)


def serve(app: FastAPI, context: ssl.SSLContext, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    allow_connections()
    server = make_server(app, context)
    gc.freeze()  # no collection looks at what is there by now, while a box waits for its answer
    server.run(sockets=[listener])


def allow_connections() -> None:
    """As many descriptors as connections may need, if the service manager's own limit lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
