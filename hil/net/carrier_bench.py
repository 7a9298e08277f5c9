"""What TLS costs beside plain UDP: `python -m hil.net.carrier_bench [ROUNDS]`, JSON out.

    carried_open_ms        prepare asked for, UDP dropped .. `up` here; 5 s of it wait for UDP
    {plain,carried}_ping_ms          echo through the tunnel and back, nothing else passing; `n` of
                           PINGS a round: those with an answer within 2 s
    {plain,carried}_loaded_ping_ms   the same while one TCP connection sends all it can
    {plain,carried}_mbit_s           of that connection, at the VM: the median of the rounds
    carried_ratio          of those two
    pss_carrier_mb         the box's end, after all that

Both ways in each round, in turn; box, gateway and VM share this machine's processors.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from hil.bench_figures import timing
from hil.bench_processes import pss_mb
from hil.issuing import Issuing
from hil.net.carrier import CARRIER_PORT, CarrierEnd, Carriers, udp_dropped
from hil.net.peer import PORT, VM4
from hil.net.process import Process, Unit
from hil.net.stand import standing
from hil.net.topology import CARRIER4
from sdbox_agent import ipc
from sdbox_agent.tunnel import echo
from sdbox_centre.carrier_server import CarrierServer, Limits, tls_context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil.bench_figures import Figures
    from hil.issuing import Pair
    from hil.net.stand import Stand

PINGS: Final = 200
LOAD_S: Final = 3.0
_SINK_PORT: Final = 5001

_CHUNK: Final = bytes(256 * 1024)
_COOKIE: Final = b"bench".ljust(echo.COOKIE_BYTES)

Values = dict[str, list[float]]


class Bench:
    """One tunnel at a time, plain or carried."""

    def __init__(self, stand: Stand, pair: Pair) -> None:
        self._stand, self._pair = stand, pair

    @contextlib.contextmanager
    def plain(self) -> Iterator[None]:
        """A tunnel over UDP."""
        self._open(None)
        self._risen("udp")
        yield
        self._stand.core.close()

    @contextlib.contextmanager
    def carried(self, carriers: Carriers) -> Iterator[float]:
        """A tunnel over TLS, and how long it took to open, in ms."""
        with udp_dropped(self._stand.topology):
            start_s = time.perf_counter()
            self._open(CarrierEnd.offered(self._pair))
            carriers.start()
            self._risen("tls")
            yield (time.perf_counter() - start_s) * 1000
            self._stand.core.close()

    def _open(self, carrier: ipc.Carrier | None) -> None:
        _, invitation = self._stand.core.prepare()
        invitation = msgspec.structs.replace(invitation, lease_s=600, carrier=carrier)
        self._stand.core.send(invitation)

    def _risen(self, carrier: str) -> None:
        up = self._stand.core.hear()
        assert isinstance(up, ipc.TunnelUp), up
        assert up.carrier == carrier

    def measure(self, figures: Values, way: str) -> None:
        """Latency, then throughput and latency at once."""
        figures[f"{way}_ping_ms"] += self._pings(PINGS, 0.005)
        with self._load() as output:
            loaded = self._pings(int(LOAD_S / 0.02), 0.02)
        figures[f"{way}_loaded_ping_ms"] += loaded
        figures[f"{way}_mbit_s"].append(float(output.read_text()))

    def _pings(self, count: int, gap_s: float) -> list[float]:
        kind = (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        taken_ms = []
        with self._stand.topology.session.socket(*kind) as sock:
            sock.settimeout(2)
            for number in range(count):
                start_s = time.perf_counter()
                sock.sendto(echo.request(4, number, _COOKIE), (VM4, 0))
                with contextlib.suppress(TimeoutError):
                    while echo.parse_reply(4, sock.recv(256), _COOKIE).sequence != number:
                        pass  # to one that was given up
                    taken_ms.append((time.perf_counter() - start_s) * 1000)
                time.sleep(gap_s)
        return taken_ms

    @contextlib.contextmanager
    def _load(self) -> Iterator[Path]:
        """One TCP connection at full speed; what it carried stands in the file at the end."""
        output = self._stand.root / "rate"
        output.unlink(missing_ok=True)
        me = [sys.executable, "-m", "hil.net.carrier_bench"]
        sink = Process(Unit([*me, "sink"], self._stand.topology.vm[0], output=output))
        sender = Process(Unit([*me, "send"], self._stand.topology.session))
        try:
            yield output
            if not sink.wait(30):
                raise TimeoutError("the load has no end")
        finally:
            sink.end()
            sender.end()


def sink() -> None:
    """In the VM: take one connection for LOAD_S; print its rate."""
    with socket.create_server((VM4, _SINK_PORT)) as listener:
        sock, _ = listener.accept()
        with sock:
            start_s, total = time.monotonic(), 0
            while time.monotonic() < start_s + LOAD_S:
                total += len(sock.recv(1 << 18))
            print(total * 8 / (time.monotonic() - start_s) / 1e6)


def send() -> None:
    """In the session: send to it as fast as it goes."""
    sock = None
    while sock is None:
        with contextlib.suppress(OSError):
            sock = socket.create_connection((VM4, _SINK_PORT), timeout=5)
    with sock, contextlib.suppress(OSError):
        while True:
            sock.sendall(_CHUNK)


def end(certificate: str, key: str) -> None:
    """At the centre: the gateway's end, which asks nobody about tokens here."""
    listener = socket.create_server((CARRIER4, CARRIER_PORT))
    context = tls_context(Path(certificate), Path(key))
    limits = Limits(connections=4, rate_bytes_s=10**9)
    CarrierServer(listener, context, lambda _token, _port: PORT, limits).run()


def run(rounds: int) -> Figures:
    """Every figure."""
    names = ("ping_ms", "loaded_ping_ms", "mbit_s")
    figures: Values = {f"{way}_{name}": [] for way in ("plain", "carried") for name in names}
    figures["carried_open_ms"] = []
    memory_mb = 0.0
    pair = Issuing().server(CARRIER4)
    with contextlib.ExitStack() as stack:
        stand = stack.enter_context(standing())
        carriers = stack.enter_context(Carriers(stand.topology, stand.root))
        files = (stand.root / "certificate.pem", stand.root / "key.pem")
        for path, data in zip(files, (pair.pem, pair.key_pem), strict=True):
            path.write_bytes(data)
        argv = [sys.executable, "-m", "hil.net.carrier_bench", "end", *map(str, files)]
        gateway = Process(Unit(argv, stand.topology.centre))
        stack.callback(gateway.end)
        bench = Bench(stand, pair)
        for _ in range(rounds):
            with bench.plain():
                bench.measure(figures, "plain")
            with bench.carried(carriers) as opened_ms:
                figures["carried_open_ms"].append(opened_ms)
                bench.measure(figures, "carried")
                memory_mb = pss_mb(carriers.processes[-1].pid)
    rates = {way: median(figures.pop(f"{way}_mbit_s")) for way in ("plain", "carried")}
    return {
        **{name: timing(values) for name, values in figures.items()},
        **{f"{way}_mbit_s": round(rate, 1) for way, rate in rates.items()},
        "carried_ratio": round(rates["carried"] / rates["plain"], 3),
        "pss_carrier_mb": round(memory_mb, 1),
    }


def main(words: list[str]) -> None:
    """The bench, or one of its three children."""
    match words:
        case ["sink"]:
            sink()
        case ["send"]:
            send()
        case ["end", certificate, key]:
            end(certificate, key)
        case _:
            print(json.dumps(run(int(words[0]) if words else 3), indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
