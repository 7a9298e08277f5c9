"""The box's ear: what it hands on, and that nothing a stream does gets past it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.centre import boxlink, https, wire
from sdbox_agent.centre.boxlink import BoxLink, Down, Told, Up, next_retry_s
from sdbox_agent.centre.eventstream import KEEP_ALIVE, MAX_MESSAGE_BYTES, Message, encode
from sdbox_agent.centre.https import CentreClient, Where
from tests.centre.servers import NAME, Answering, Hosts, Listening, http
from tests.waiting import until

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"  # to its end
RESYNC = encode(Message(4, "resync", b"{}"))
REVOKED = encode(Message(5, "revoked", b'{"session":"b-1","code":"revoked"}'))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxlink, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(boxlink, "MAX_RETRY_S", 0.01)


class Hasty:
    """Waits as long as it is told, and notes what the centre asked for."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    def busy(self, retry_after_s: float) -> None:
        self.asked_s.append(retry_after_s)

    def again_s(self, after_s: float) -> float:
        return after_s


class Ear:
    """A box's link to a server of the test."""

    def __init__(self, hosts: Hosts, behave: Answering) -> None:
        self.asked: list[bytes] = []
        self.told: list[Told] = []
        self.number = 0
        self.patience = Hasty()

        def noted(sock, request: bytes) -> None:
            self.asked.append(request)
            behave(sock, request)
            sock.unwrap()
            sock.close()

        self.server = Listening(hosts.server_context(), noted)
        where = Where((("127.0.0.1", self.server.port),), NAME)
        connect = lambda: CentreClient(where, hosts.context)  # noqa: E731
        self.link = BoxLink(connect, self._claim, self.told.append, self.patience, time.monotonic)
        self.link.start(0)

    def _claim(self) -> wire.LinkRequest:
        self.number += 1
        return wire.LinkRequest(boot_id="b", boot_counter=3, n=self.number)

    def close(self) -> None:
        self.link.close()
        self.link._thread.join(10)
        assert not self.link._thread.is_alive()
        self.server.close()


@contextlib.contextmanager
def hearing(hosts: Hosts, behave: Answering) -> Iterator[Ear]:
    ear = Ear(hosts, behave)
    try:
        yield ear
    finally:
        ear.close()


def says(*pieces: bytes) -> Answering:
    def say(sock, _: bytes) -> None:
        for piece in (STREAM, *pieces):
            sock.sendall(piece)

    return say


def once(first: Answering, then: Answering) -> Answering:
    both = iter([first])

    def behave(sock, request: bytes) -> None:
        next(both, then)(sock, request)

    return behave


def last_event_id(request: bytes) -> int | None:
    for line in request.lower().split(b"\r\n"):
        if line.startswith(b"last-event-id: "):
            return int(line.split(b": ")[1])
    return None


def test_events_come_typed_and_in_order_and_a_broken_stream_goes_on(hosts: Hosts) -> None:
    rest = says(encode(Message(6, "policy", b'{"version":2}')))
    with hearing(hosts, once(says(RESYNC + REVOKED[:9], REVOKED[9:], KEEP_ALIVE), rest)) as ear:
        until(lambda: len(ear.asked) > 2)
    revoked = wire.Revoked(session="b-1", code="revoked")
    lost = Down("centre-unreachable")
    assert ear.told[:4] == [Up(), wire.Resync(), revoked, lost]
    assert ear.told[4:7] == [Up(), wire.NewPolicy(version=2), lost]
    assert [last_event_id(request) for request in ear.asked[:3]] == [None, 5, 6]
    for number, request in enumerate(ear.asked, 1):
        assert request.startswith(b"GET /v1/link?boot_id=b&boot_counter=3&n=%d HTTP" % number)


@pytest.mark.parametrize(
    "piece",
    [
        REVOKED,  # not the next: nothing was taken yet
        RESYNC + RESYNC.replace(b"resync", b"crl"),
        RESYNC + encode(Message(6, "crl", b"{}")),
        encode(Message(4, "nonsense", b"{}")),
        RESYNC + encode(Message(5, "policy", b"{}")),
        RESYNC + encode(Message(5, "revoked", b'{"session":"b-1","code":"revoked","more":1}')),
        b"data: x\n\n",
        b"\xff" * 300 + b"\n\n",
        b"id: 4\nevent: resync\ndata: " + b"x" * (MAX_MESSAGE_BYTES + 1),
    ],
)
def test_nonsense_is_told_as_that_and_everything_is_asked_anew(hosts: Hosts, piece: bytes) -> None:
    with hearing(hosts, says(piece)) as ear:
        until(lambda: len(ear.asked) > 2)
    assert {told for told in ear.told if isinstance(told, Down)} == {Down("centre-answer-invalid")}
    assert not {wire.Revoked, wire.NewCrls, wire.NewPolicy} & {type(told) for told in ear.told}
    assert [last_event_id(request) for request in ear.asked] == [None] * len(ear.asked)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(b'{"code":"box-suspended"}', "403 No"), "box-suspended"),
        (http(b'{"code":"centre-fault"}', "503 No"), "centre-fault"),
        (http(b"<html>", "200 OK", "text/html"), "centre-answer-invalid"),
        (http(b"{}"), "centre-answer-invalid"),
        (STREAM[:-2] + b"content-encoding: gzip\r\n\r\n", "centre-answer-invalid"),
        (b"HTTP/1.1 302 Found\r\nlocation: https://x/\r\ncontent-length: 0\r\n\r\n",
         "centre-answer-invalid"),
        (b"", "centre-unreachable"),
    ],
)  # fmt: skip
def test_a_stream_that_does_not_open_says_why(hosts: Hosts, answer: bytes, code: str) -> None:
    with hearing(hosts, lambda sock, _: sock.sendall(answer)) as ear:
        until(lambda: len(ear.told) > 1)
    assert set(ear.told) == {Down(code)}


def test_a_centre_that_asks_for_time_is_given_it(hosts: Hosts) -> None:
    busy = http(b'{"code":"centre-busy"}', "503 No", extra="retry-after: 7\r\n")
    with hearing(hosts, lambda sock, _: sock.sendall(busy)) as ear:
        until(lambda: len(ear.told) > 1)
    assert set(ear.told) == {Down("centre-busy")}
    assert set(ear.patience.asked_s) == {7}


def _silent(sock, _: bytes) -> None:
    sock.sendall(STREAM + KEEP_ALIVE)
    sock.recv(1)


def _drips(sock, _: bytes) -> None:
    sock.sendall(STREAM + KEEP_ALIVE)
    for byte in b"id: 4\nevent: crl\ndata: " + b"x" * 200:
        sock.sendall(bytes([byte]))
        time.sleep(0.05)  # the whole would take 11 s


@pytest.mark.parametrize("behave", [_silent, _drips])
def test_a_stream_without_a_sign_of_life_is_dead(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, behave: Answering
) -> None:
    monkeypatch.setattr(https, "SILENCE_S", 0.5)
    with hearing(hosts, behave) as ear:
        until(lambda: Down("centre-slow") in ear.told)
    assert ear.told[:2] == [Up(), Down("centre-slow")]


def test_signs_of_life_keep_a_silent_stream(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "SILENCE_S", 1.0)

    def lives(sock, _: bytes) -> None:
        sock.sendall(STREAM)
        for _ in range(15):
            time.sleep(0.1)
            sock.sendall(KEEP_ALIVE)
        sock.sendall(RESYNC)

    with hearing(hosts, lives) as ear:
        until(lambda: len(ear.told) > 1)
    assert ear.told[:2] == [Up(), wire.Resync()]


def test_a_server_that_is_not_ours_is_told_nothing(hosts: Hosts, tmp_path: Path) -> None:
    other = Hosts(tmp_path)
    ear_hosts = Hosts.__new__(Hosts)
    ear_hosts.__dict__ = {**hosts.__dict__, "context": other.context}
    with hearing(ear_hosts, says(RESYNC)) as ear:
        until(lambda: len(ear.told) > 1)
    assert set(ear.told) == {Down("centre-unreachable")}
    assert ear.asked == []


def test_what_breaks_inside_leaves_nobody_deaf(hosts: Hosts) -> None:
    with hearing(hosts, says(RESYNC)) as ear:
        until(lambda: ear.told)
        ear.link._claim = _broken
        until(lambda: Down("unforeseen") in ear.told)


def _broken() -> wire.LinkRequest:
    raise KeyError


def test_a_link_that_is_opened_anew_was_never_down_and_misses_nothing(hosts: Hosts) -> None:
    def says_and_stays(sock, _: bytes) -> None:
        sock.sendall(STREAM + RESYNC)
        sock.recv(1)

    def goes_on(sock, _: bytes) -> None:
        sock.sendall(STREAM + REVOKED)
        sock.recv(1)

    revoked = wire.Revoked(session="b-1", code="revoked")
    with hearing(hosts, once(says_and_stays, goes_on)) as ear:
        until(lambda: wire.Resync() in ear.told)
        ear.link.anew()
        until(lambda: revoked in ear.told)
    assert ear.told == [Up(), wire.Resync(), Up(), revoked]
    assert [last_event_id(request) for request in ear.asked] == [None, 4]


def test_one_that_can_not_be_opened_anew_is_down(hosts: Hosts) -> None:
    refuses = http(b'{"code":"box-suspended"}', "403 No")
    with hearing(hosts, once(_silent, lambda sock, _: sock.sendall(refuses))) as ear:
        until(lambda: Up() in ear.told)
        ear.link.anew()
        until(lambda: Down("box-suspended") in ear.told)
        ear.link.close()
        ear.link.anew()  # nobody listens any more
    assert ear.told[:2] == [Up(), Down("box-suspended")]


def test_a_link_that_is_closed_ends_at_once_and_says_no_more(hosts: Hosts) -> None:
    with hearing(hosts, _silent) as ear:
        until(lambda: ear.told)
        ear.close()
        assert ear.told == [Up()]


def test_one_that_is_closed_before_it_began_never_asks(hosts: Hosts) -> None:
    asked: list[int] = []
    link = BoxLink(lambda: asked.append(1), _broken, asked.append, Hasty(), time.monotonic)
    link.start(1000.0)
    link.close()
    link._thread.join(10)
    assert not link._thread.is_alive()
    assert asked == []


def test_tries_become_rarer_until_a_stream_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    waits, last_s = [], 0.0
    for _ in range(9):
        last_s = next_retry_s(last_s, 1.0)
        waits.append(last_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert next_retry_s(60.0, boxlink.STEADY_S) == 1
