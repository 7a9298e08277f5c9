"""How a centre's box link bears many boxes: real TLS streams on loopback, one API process.

    revoked_to_box_ms      a session's end is committed .. its box has read it from its stream
    told_all_ms            new lists for all boxes are committed .. each box has read that
    stream_kib             memory of the API process for each stream (PSS)
    streams_open_s         all boxes come, 50 at once, a TLS handshake each: until the last is in
    streams_idle_cpu_percent    of one core, the API process, while nothing happens

Client and server share the machine. What a revocation takes until the gateway's peer is out is
measured where there are gateways (hil.bench, hil.load).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import resource
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, Final

from hil import scratch
from hil.bench_figures import timing
from hil.bench_processes import cpu_ns, pss_mb
from hil.issuing import Issuing
from hil.net.process import Process, Unit
from hil.staff import STAFF_AT, Members
from sdbox_agent.centre import wire
from sdbox_centre import linkrows, server, tables
from sdbox_centre.authority import pem_of
from sdbox_centre.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hil.bench_figures import Figures

HOST: Final = "centre.test"
BOXES: Final = 500
ACTS: Final = 100
IDLE_S: Final = 20.0
AT_ONCE: Final = 50  # boxes that shake hands
PATIENCE_S: Final = 30.0


class _Box:
    """One box's stream, and when each event came."""

    def __init__(self, name: str, context: ssl.SSLContext) -> None:
        self.name = name
        self._context = context
        self.heard: dict[str, asyncio.Future[float]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def open(self, port: int) -> None:
        """Returns once the first event is here."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1",
            port,
            ssl=self._context,
            server_hostname=HOST,
            ssl_handshake_timeout=PATIENCE_S,  # the process has to start, too
        )
        query = f"boot_id={self.name}&boot_counter=1&n=1"
        self._writer.write(f"GET /v1/link?{query} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        first = self.next("resync")
        self._reading = asyncio.create_task(self._read())
        await asyncio.wait_for(first, PATIENCE_S)

    def next(self, kind: str) -> asyncio.Future[float]:
        """When the next event of that kind comes."""
        self.heard[kind] = asyncio.get_running_loop().create_future()
        return self.heard[kind]

    async def _read(self) -> None:
        while line := await self._reader.readline():
            if line.startswith(b"event: "):
                waiting = self.heard.pop(line[7:].decode().strip(), None)
                if waiting is not None:
                    waiting.set_result(time.monotonic())

    async def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
            self._writer.transport.abort()


class _Centre:
    """One API process over a SQLite file, with these boxes in it."""

    def __init__(self, root: Path, issuing: Issuing) -> None:
        self.root, self._issuing = root, issuing
        self._settings()
        self.store = Store(root / "centre.sqlite")
        self.store.create()

    def _settings(self) -> None:
        shown, issuing = self._issuing.server(HOST), self._issuing
        files = {
            "server.pem": shown.pem,
            "server.key": shown.key_pem,
            "boxes.pem": pem_of(issuing.boxes.certificate),
            "cards.pem": pem_of(issuing.cards.certificate),
            "cards.crl": issuing.crl(),
        }
        for name, content in files.items():
            (self.root / name).write_bytes(content)
        (self.root / "server.key").chmod(0o600)
        (self.root / "api.toml").write_text(
            'address = "127.0.0.1"\nport = 0\ncertificate = "server.pem"\nkey = "server.key"\n'
            'box_anchors = "boxes.pem"\ncard_anchors = "cards.pem"\ncrls = ["cards.crl"]\n'
            'database = "centre.sqlite"\ngateway_socket = "nobody.sock"\ngateway_uid = 0\n'
            + STAFF_AT
        )
        (self.root / "staff").mkdir()
        Members(self.root / "staff", issuing)

    def add(self, name: str) -> _Box:
        """A box the centre knows."""
        pair = self._issuing.box_tls(name)
        row = {"name": name, "tls_sha256": hashlib.sha256(pair.der).digest()}
        with self.store.begin() as tx:
            tx.execute(tables.boxes.insert(), {**row, "statement_certificate": b"none"})
        path = self.root / f"{name}.pem"
        path.write_bytes(pair.pem + pair.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=pem_of(self._issuing.servers.certificate).decode())
        context.load_cert_chain(path)
        return _Box(name, context)

    @contextlib.contextmanager
    def serving(self) -> Iterator[tuple[Process, int]]:
        """The process, and its port."""
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            process = Process(
                Unit(
                    argv=[
                        *(sys.executable, "-m", "sdbox_centre", "api"),
                        *("--config", str(self.root / "api.toml")),
                    ],
                    listen=[listener.fileno()],
                    environment={"PATH": "/usr/sbin:/usr/bin", "LISTEN_FDNAMES": "api"},
                    output=self.root / "api.log",
                )
            )
            port = listener.getsockname()[1]
        try:
            yield process, port
        except TimeoutError as error:
            raise TimeoutError((self.root / "api.log").read_text()[-2000:]) from error
        finally:
            process.end()

    def revoke(self, box: str) -> float:
        """What a staff's act leaves for the box; when it was committed."""
        with self.store.begin() as tx:
            said = wire.Revoked(session="test-1", code="revoked")
            linkrows.tell(tx, box, said, int(time.time()))
        return time.monotonic()

    def tell_all(self) -> float:
        """The same for every box."""
        with self.store.begin() as tx:
            linkrows.tell_all(tx, wire.NewCrls(), int(time.time()))
        return time.monotonic()


def measure(boxes: int = BOXES, acts: int = ACTS, idle_s: float = IDLE_S) -> Figures:
    """Every figure. Raises TimeoutError if an event never comes."""
    server.tame_asyncio_tls()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    root = scratch.made("test")
    try:
        centre = _Centre(root, Issuing())
        crowd = [centre.add(f"box-{number:04}") for number in range(boxes)]
        with centre.serving() as (process, port):
            return asyncio.run(_measure(centre, process.pid, port, crowd, acts, idle_s))
    finally:
        scratch.removed(root)


async def _measure(
    centre: _Centre, pid: int, port: int, crowd: Sequence[_Box], acts: int, idle_s: float
) -> Figures:
    first, *others = crowd
    await first.open(port)  # the process is up
    before_mb, began_s = pss_mb(pid), time.monotonic()
    gate = asyncio.Semaphore(AT_ONCE)
    await asyncio.gather(*(_open(box, port, gate) for box in others))
    figures: Figures = {"streams_open_s": round(time.monotonic() - began_s, 2)}
    figures["stream_kib"] = round((pss_mb(pid) - before_mb) * 1024 / len(others), 1)
    before_ns = cpu_ns(pid)
    await asyncio.sleep(idle_s)
    spent_s = (cpu_ns(pid) - before_ns) / 1e9
    figures["streams_idle_cpu_percent"] = round(100 * spent_s / idle_s, 2)
    took_ms = [await _revoked_ms(centre, crowd[act * 7 % len(crowd)]) for act in range(acts)]
    figures["revoked_to_box_ms"] = timing(took_ms)
    told = [box.next("crl") for box in crowd]
    told_s = await asyncio.to_thread(centre.tell_all)
    came = await asyncio.wait_for(asyncio.gather(*told), PATIENCE_S)
    figures["told_all_ms"] = timing(1000 * (at_s - told_s) for at_s in came)
    await asyncio.gather(*(box.close() for box in crowd))
    return figures


async def _open(box: _Box, port: int, gate: asyncio.Semaphore) -> None:
    async with gate:
        await box.open(port)


async def _revoked_ms(centre: _Centre, box: _Box) -> float:
    heard = box.next("revoked")
    told_s = await asyncio.to_thread(centre.revoke, box.name)
    return 1000 * (await asyncio.wait_for(heard, PATIENCE_S) - told_s)
