"""A centre that is away, slow, failing, or somebody else."""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from hil.issuing import now
from hil.net.topology import CENTRE4
from sdbox_centre import authority
from tests.hil.fault_bench import SHOWN_S, Bench, dropping, now_ms, opened, stopped
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=10) as one:
        one.good()  # its lists are there: without any, a card is refused before the hello
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


@contextlib.contextmanager
def api_away(bench: Bench) -> Iterator[None]:
    bench.rig.centre.end_api()
    try:
        yield
    finally:
        bench.rig.centre.start_api()


def test_a_centre_that_is_away_is_tried_again_and_then_let_in(bench: Bench) -> None:
    holder = bench.holder()
    with api_away(bench):
        bench.rig.operator.insert(holder.card)
        spent = bench.ended("centre-unreachable")
    again = bench.watch.state("scanning")  # the card has never left the reader
    assert again.n == (spent.n or 0) + 1
    assert "card-inserted" in [entry.code for entry in bench.entries(again.n)]
    bench.rig.operator.place(holder.person)
    assert bench.watch.state("open", "spent").state == "open"
    bench.rig.operator.remove()
    bench.ended("card-removed")


def test_a_centre_whose_packets_are_lost(bench: Bench) -> None:
    bench.rig.centre.end_api()  # no kept connection
    bench.rig.centre.start_api()
    with dropping(bench.rig.topology.centre, "tcp dport 443"):
        bench.rig.operator.insert(bench.holder().card)
        # Lists and hello, 3 s to connect each.
        bench.ended("centre-unreachable", within_s=6 + SHOWN_S)


def test_a_centre_that_hangs(bench: Bench) -> None:
    holder = bench.holder()
    bench.to_scanning(holder)
    with stopped(bench.rig.centre.api.pid):
        bench.rig.operator.place(holder.person)
        bench.ended("centre-slow", within_s=5 + SHOWN_S)
        codes = [entry.code for entry in bench.entries(bench.watch.views[-1].n)]
    assert "finger-matched" not in codes, "no comparison without a reserved attempt"


class Impostor:
    """A server in the API's place. It says the same to whoever asks, and notes what was asked."""

    def __init__(self, bench: Bench, answer: bytes, pem: bytes, key_pem: bytes) -> None:
        self.asked: list[bytes] = []
        self.greeted = 0
        self._answer = answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity = bench.rig.root / "impostor.pem"
        identity.write_bytes(pem + key_pem)
        self._context.load_cert_chain(identity)
        self._listener = bench.rig.topology.centre.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((CENTRE4, 443))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            self.greeted += 1
            raw.settimeout(PATIENCE_S / 2)
            with contextlib.suppress(OSError), raw:
                connection = self._context.wrap_socket(raw, server_side=True)
                self.asked.append(_request(connection))
                connection.sendall(self._answer)
                connection.close()


def _request(connection: ssl.SSLSocket) -> bytes:
    """Read to its end: what is closed upon unread data takes the answer with it."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += connection.recv(65536)
    length = re.search(rb"content-length: (\d+)", asked.lower())
    head = asked.index(b"\r\n\r\n") + 4
    while len(asked) < head + int(length[1] if length else 0):
        asked += connection.recv(65536)
    return asked


def whole(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


ANSWERS = {
    "a fault": (whole("500 Oops", "application/json", b'{"v":1,"code":"?"}'), "centre-fault"),
    "a page": (whole("502 Bad gateway", "text/html", b"<html>"), "centre-fault"),
    "nonsense": (whole("200 OK", "application/json", b'{"v":1}'), "centre-answer-invalid"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_centre_that_answers_with(bench: Bench, what: str) -> None:
    answer, code = ANSWERS[what]
    root = bench.rig.centre.root
    pem, key_pem = (root / "server.pem").read_bytes(), (root / "server.key").read_bytes()
    with api_away(bench), Impostor(bench, answer, pem, key_pem) as impostor:
        bench.rig.operator.insert(bench.holder().card)
        bench.ended(code)
        assert any(b"/v1/hello" in asked for asked in impostor.asked)


def test_somebody_else_in_the_centres_place_hears_nothing(bench: Bench) -> None:
    other = authority.authority("Test other authority", now())
    key = authority.new_key()
    issued = other.issue(
        authority.SERVER_TLS,
        authority.server_subject("Test centre", (CENTRE4, "centre.test")),
        key.public_key(),
        now() - authority.BACKDATED,
    )
    answer, _ = ANSWERS["a fault"]
    identity = authority.pem_of(issued), authority.key_pem(key)
    with api_away(bench), Impostor(bench, answer, *identity) as impostor:
        bench.rig.operator.insert(bench.holder().card)
        bench.ended("centre-unreachable", from_ms=now_ms())
        assert impostor.greeted > 0
        assert not any(impostor.asked), "not a byte of ours for somebody else"


def test_the_box_has_taken_no_harm(bench: Bench) -> None:
    bench.good()
