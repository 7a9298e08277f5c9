"""The gateway's end over real TLS: whom it lets in, where to, and what becomes of the others."""

import contextlib
import secrets
import socket
import ssl
import threading
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.tunnel import frames
from sdbox_agent.tunnel.relay import Ended
from sdbox_centre import carrier_server
from sdbox_centre.carrier_server import CarrierServer, Limits
from tests.tunnel import ends
from tests.waiting import until

DATAGRAM = b"w" * 100


@dataclass
class Gateway:
    """Hands out tokens, and is WireGuard."""

    tokens: set[bytes] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)  # ports that packets will come from
    away: bool = False

    def __post_init__(self) -> None:
        self.wireguard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.wireguard.bind(("127.0.0.1", 0))
        self.wireguard.settimeout(10)

    def token(self) -> bytes:
        made = secrets.token_bytes(32)
        self.tokens.add(made)
        return made

    def admit(self, token: bytes, port: int) -> int:
        if self.away:
            raise Fault("centre-fault")
        if token not in self.tokens:
            raise Refused("carrier-refused")
        self.tokens.remove(token)
        self.asked.append(port)
        return int(self.wireguard.getsockname()[1])


@dataclass
class Bench:
    gateway: Gateway
    port: int

    def connect(self) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=10))

    def admitted(self) -> ssl.SSLSocket:
        tls = self.connect()
        tls.sendall(frames.greeting(self.gateway.token()))
        assert tls.recv(100) == frames.WELCOME
        return tls


@contextlib.contextmanager
def running(limits: Limits = Limits(10, 10**8)) -> Iterator[Bench]:  # noqa: B008  a value
    gateway = Gateway()
    listener = socket.create_server(("127.0.0.1", 0))
    with ends.files(ends.gateway()) as (certificate, key):
        context = carrier_server.tls_context(certificate, key)
    port = listener.getsockname()[1]
    server = CarrierServer(listener, context, gateway.admit, limits)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield Bench(gateway, port)
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()
        gateway.wireguard.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running() as one:
        yield one


def ended(tls: ssl.SSLSocket) -> bool:
    """Has the other end let go? Waits for it."""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        return tls.recv(1) == b""
    return True


def frame(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


def test_datagrams_go_to_wireguard_and_its_answers_come_back(bench: Bench) -> None:
    with bench.admitted() as tls:
        tls.sendall(frame(DATAGRAM))
        data, source = bench.gateway.wireguard.recvfrom(2048)
        assert data == DATAGRAM
        assert source == ("127.0.0.1", bench.gateway.asked[0])  # as the gateway was told
        bench.gateway.wireguard.sendto(b"a" * 60, source)
        assert tls.recv(100) == frame(b"a" * 60)


def test_two_are_carried_side_by_side_and_never_mixed(bench: Bench) -> None:
    with bench.admitted() as one, bench.admitted() as two:
        for tls, what in ((one, b"1" * 50), (two, b"2" * 50)):
            tls.sendall(frame(what))
            data, source = bench.gateway.wireguard.recvfrom(2048)
            bench.gateway.wireguard.sendto(data[::-1], source)
            assert tls.recv(100) == frame(what[::-1])


# -- who gets in ---------------------------------------------------------------------------------


def test_a_token_admits_one_connection(bench: Bench) -> None:
    token = bench.gateway.token()
    for admitted in (True, False):
        with bench.connect() as tls:
            tls.sendall(frames.greeting(token))
            if admitted:
                assert tls.recv(100) == frames.WELCOME
            else:
                assert ended(tls)


@pytest.mark.parametrize(
    "said", [frames.greeting(bytes(32)), b"GET / HTTP/1.1\r\n" * 4, bytes(48), bytes(100_000)]
)
def test_nobody_else_gets_in_and_nothing_of_theirs_goes_anywhere(bench: Bench, said: bytes) -> None:
    with bench.connect() as tls:
        with contextlib.suppress(OSError):
            tls.sendall(said)
        assert ended(tls)
    assert bench.gateway.asked == []
    with bench.admitted():
        pass


def test_a_gateway_that_is_away_admits_nobody(bench: Bench) -> None:
    bench.gateway.away = True
    with bench.connect() as tls:
        tls.sendall(frames.greeting(bench.gateway.token()))
        assert ended(tls)


def test_who_speaks_no_tls_or_an_older_one_is_turned_away(bench: Bench) -> None:
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in ends.everything(sock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", bench.port), timeout=10) as sock,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(sock)


def test_who_says_nothing_has_its_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier_server, "GREETING_S", 1.0)
    with running() as bench, bench.connect() as shaken:
        with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as sock:
            assert sock.recv(1) == b""
        shaken.settimeout(10)
        assert ended(shaken)


def test_a_crowd_that_says_nothing_does_not_keep_others_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(carrier_server, "MAX_GUESTS", 4)
    with running() as bench, contextlib.ExitStack() as crowd:
        socks = [
            crowd.enter_context(socket.create_connection(("127.0.0.1", bench.port), timeout=10))
            for _ in range(12)
        ]
        with bench.admitted():
            assert socks[0].recv(1) == b""  # the oldest went


def test_no_more_are_carried_than_there_may_be() -> None:
    with running(Limits(1, 10**8)) as bench:
        with bench.admitted(), bench.connect() as tls:
            tls.sendall(frames.greeting(bench.gateway.token()))
            assert ended(tls)
        until(lambda: _admits(bench))  # there is room again


def _admits(bench: Bench) -> bool:
    with bench.connect() as tls:
        tls.sendall(frames.greeting(bench.gateway.token()))
        with contextlib.suppress(OSError):
            return tls.recv(100) == frames.WELCOME
    return False


# -- how it ends ---------------------------------------------------------------------------------


def test_what_is_no_frame_ends_the_connection(bench: Bench) -> None:
    with bench.admitted() as tls:
        tls.sendall(b"\xff\xff")
        assert ended(tls)


def test_the_boxs_leaving_closes_its_port(bench: Bench) -> None:
    bench.admitted().close()
    port = bench.gateway.asked[0]

    def free() -> bool:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
            contextlib.suppress(OSError),
        ):
            sock.bind(("127.0.0.1", port))
            return True
        return False

    until(free)


def test_a_silent_wireguard_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its peer was removed: what the box goes on sending is not answered."""
    monkeypatch.setattr(carrier_server, "SILENT_S", 0.3)
    with running() as bench, bench.admitted() as tls:
        assert ended(tls)


def test_silence_counts_from_the_last_answer() -> None:
    relay = types.SimpleNamespace(taken=0, received_bytes=0)
    carried = carrier_server._Carried(relay, 100.0)  # type: ignore[arg-type]
    for now_s in (110.0, 120.0, 130.0):
        relay.taken += 1
        carried.tick(now_s)
    carried.tick(130.0 + carrier_server.SILENT_S)
    with pytest.raises(Ended):
        carried.tick(130.1 + carrier_server.SILENT_S)


def test_a_flood_is_slowed_to_its_rate_and_others_are_not(bench: Bench) -> None:
    with running(Limits(10, 100_000)) as slow, slow.admitted() as flood, slow.admitted() as calm:
        flood.settimeout(0)
        sent = 0
        with contextlib.suppress(ssl.SSLWantWriteError):
            while sent < 10**8:
                sent += flood.send(frame(bytes(1000)))
        for _ in range(20):
            calm.sendall(frame(DATAGRAM))
            until(lambda: slow.gateway.wireguard.recv(2048) == DATAGRAM)


def test_stopping_ends_everybody(bench: Bench) -> None:
    with running() as short:
        tls, guest = short.admitted(), short.connect()
    with tls, guest:
        assert ended(tls)
        assert ended(guest)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    (there := tmp_path / "there.pem").touch()
    with pytest.raises(FileNotFoundError, match="away"):
        carrier_server.tls_context(there, tmp_path / "away.key")
