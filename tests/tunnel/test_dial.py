"""The way to the gateway: what can stand in it, what that is called, and what it gets to hear."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from sdbox_agent.errors import SdboxError
from sdbox_agent.tunnel import dial, frames
from sdbox_agent.tunnel.carriage import Inspected, Way
from sdbox_agent.tunnel.config import Endpoint
from tests.tunnel import ends
from tests.waiting import until

LOOPBACK = ip_address("127.0.0.1")


@pytest.fixture
def hangup() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def way(port: int, proxy: int | None = None, pin: bytes | None = None) -> Way:
    """To the loopback address, which no way from outside may name."""
    through = None if proxy is None else Endpoint(LOOPBACK, proxy)
    return Way(Endpoint(LOOPBACK, port), pin or ends.pin(ends.gateway()), ends.TOKEN, through)


def refused(to: Way, hangup: tuple[socket.socket, socket.socket], within_s: float = 10) -> str:
    with pytest.raises(SdboxError) as caught:
        dial.dial(to, hangup[0], within_s)
    return caught.value.code


Hangup = tuple[socket.socket, socket.socket]


def test_the_gateway_hears_the_token_and_welcomes(hangup: Hangup) -> None:
    with ends.serving(ends.over_tls(ends.gateway(), ends.welcoming)) as server:
        with dial.dial(way(server.port), hangup[0]) as tls:
            assert tls.version() == "TLSv1.3"
            assert tls.gettimeout() == 0
        until(lambda: server.seen)
    assert server.seen == [frames.greeting(ends.TOKEN)]


def test_through_a_proxy_the_same_and_the_proxy_hears_an_address_alone(hangup: Hangup) -> None:
    with (
        ends.serving(ends.over_tls(ends.gateway(), ends.welcoming)) as server,
        ends.serving(ends.proxy()) as proxy,
    ):
        dial.dial(way(server.port, proxy.port), hangup[0]).close()
        until(lambda: server.seen and proxy.seen)
    asked = f"127.0.0.1:{server.port}"
    assert proxy.seen == [f"CONNECT {asked} HTTP/1.1\r\nHost: {asked}\r\n\r\n".encode()]
    assert server.seen == [frames.greeting(ends.TOKEN)]


# -- what stands in the way ----------------------------------------------------------------------


def test_a_foreign_certificate_is_named_with_its_issuer_and_hears_nothing(hangup: Hangup) -> None:
    with ends.serving(ends.over_tls(ends.other(), ends.everything)) as server:
        with pytest.raises(Inspected) as caught:
            dial.dial(way(server.port), hangup[0])
        until(lambda: server.seen)
    assert caught.value.code == "tls-inspected"
    assert "CN=" in caught.value.issuer
    assert server.seen == [b""]


def test_the_right_issuer_is_no_help_to_another_certificate(hangup: Hangup) -> None:
    """Both are of the centre's own authority: only the hash counts."""
    assert ends.other().certificate.issuer == ends.gateway().certificate.issuer
    with ends.serving(ends.over_tls(ends.other(), ends.everything)) as server:
        assert refused(way(server.port), hangup) == "tls-inspected"
        until(lambda: server.seen)
    assert server.seen == [b""]


def test_older_tls_is_not_the_gateways_whatever_it_shows(hangup: Hangup) -> None:
    old = ends.over_tls(ends.gateway(), ends.everything, newest=ssl.TLSVersion.TLSv1_2)
    with ends.serving(old) as server:
        assert refused(way(server.port), hangup) == "tls-inspected"


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad\r\n\r\n", b"\x16\x03\x03\xff\xff" * 9])
def test_who_speaks_no_tls_is_not_the_gateway(hangup: Hangup, said: bytes) -> None:
    with ends.serving(lambda sock: sock.sendall(said)) as server:
        assert refused(way(server.port), hangup) == "carrier-unreachable"


@pytest.mark.parametrize("answer", [b"", b"no", b"x" * 100, frames.WELCOME[:-1] + b"!"])
def test_a_token_that_is_not_taken_is_a_refusal(hangup: Hangup, answer: bytes) -> None:
    def serve(tls: ssl.SSLSocket) -> bytes:
        said = tls.recv(frames.GREETING_BYTES)
        tls.sendall(answer)
        tls.shutdown(socket.SHUT_WR)
        return said

    with ends.serving(ends.over_tls(ends.gateway(), serve)) as server:
        assert refused(way(server.port), hangup) == "carrier-refused"


def test_nobody_there_is_unreachable(hangup: Hangup) -> None:
    assert refused(way(ends.free_port()), hangup) == "carrier-unreachable"
    nowhere = way(ends.free_port(), ends.free_port())
    assert refused(nowhere, hangup) == "proxy-unreachable"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "proxy-authentication"),
        (b"HTTP/1.1 403 No\r\n\r\n", "proxy-refused"),
        (b"SSH-2.0-x\r\n\r\n", "proxy-answer-invalid"),
        (b"x" * 10_000, "proxy-answer-invalid"),
        (b"HTTP/1.1 200 OK\r\n\r\nearly", "proxy-answer-invalid"),
    ],
)
def test_a_proxy_that_does_not_connect_is_told_apart(
    hangup: Hangup, answer: bytes, code: str
) -> None:
    with ends.serving(ends.proxy(answer)) as proxy:
        assert refused(way(443, proxy.port), hangup) == code
        until(lambda: proxy.seen)
    assert ends.TOKEN not in proxy.seen[0]


def test_a_proxy_that_leaves_before_its_answer_is_none(hangup: Hangup) -> None:
    with ends.serving(lambda sock: sock.recv(10) and sock.sendall(b"HTTP/1.1 2")) as proxy:
        assert refused(way(443, proxy.port), hangup) in {
            "proxy-answer-invalid",
            "proxy-unreachable",
        }


# -- time ----------------------------------------------------------------------------------------


def silent(sock: socket.socket) -> bytes:
    return ends.everything(sock)


def test_a_server_that_says_nothing_is_given_up_in_time(hangup: Hangup) -> None:
    with ends.serving(silent) as server:
        assert refused(way(server.port), hangup, within_s=0.3) == "carrier-unreachable"
    with ends.serving(ends.over_tls(ends.gateway(), ends.everything)) as server:
        assert refused(way(server.port), hangup, within_s=0.3) == "carrier-unreachable"
    with ends.serving(silent) as proxy:
        assert refused(way(443, proxy.port), hangup, within_s=0.3) == "proxy-unreachable"


def test_a_server_that_drips_meets_the_one_deadline(hangup: Hangup) -> None:
    def drip(sock: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 O" + b"K" * 10_000:
            sock.sendall(bytes([byte]))
            time.sleep(0.01)

    with ends.serving(drip) as proxy:
        assert refused(way(443, proxy.port), hangup, within_s=0.3) == "proxy-unreachable"


def test_who_asked_may_hang_up_at_any_moment(hangup: Hangup) -> None:
    ours, theirs = hangup
    with ends.serving(silent) as server:
        threading.Timer(0.1, theirs.close).start()
        with pytest.raises(dial.HungUp):
            dial.dial(way(server.port), ours, within_s=30)
        until(lambda: server.seen)  # the server saw the end, too
