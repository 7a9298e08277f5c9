"""The local socket against friends, strangers, floods and garbage (faults 95 to 97)."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import ipc
from sdbox_agent.daemon import local, view
from sdbox_agent.daemon.local import MAX_CLIENTS, LocalSocket
from sdbox_agent.session import events as on
from sdbox_agent.session import states as at
from tests.daemon.parts import turn
from tests.daemon.test_view import SESSION, access
from tests.session.explore import CLOSED, TWO, admitted

CHOOSING = at.Choosing(SESSION, access(answer=admitted((*TWO, *CLOSED))), 1)


class Bench:
    def __init__(self, path: Path, uids: frozenset[int]) -> None:
        self.loop = asyncio.new_event_loop()
        self.path, self.fed, self.open = path, [], []
        self.local = LocalSocket(self.loop, path, uids, self.fed.append)

    def client(self) -> ipc.Channel:
        client = ipc.connect(self.path, view.FromBox, os.getuid(), timeout_s=0)
        self.open.append(client)
        return client

    def ask(self, message: ipc.Message) -> ipc.Message:
        client = self.client()
        client.send(message)
        return self.next(client)

    def next(self, client: ipc.Channel) -> ipc.Message:
        got: list[ipc.Message] = []

        def come() -> bool:
            with contextlib.suppress(BlockingIOError):
                got.append(client.receive())
            return bool(got)

        turn(self.loop, come)
        return got[0]

    def ended(self, client: ipc.Channel) -> bool:
        def gone() -> bool:
            try:
                client.receive()
            except BlockingIOError:
                return False
            except ipc.Closed:
                return True
            return False

        turn(self.loop, gone)
        return True

    def close(self) -> None:
        self.local.close()
        self.loop.close()
        for client in self.open:
            client.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    one = Bench(tmp_path / "agent.sock", frozenset({os.getuid()}))
    yield one
    one.close()


def test_before_anything_is_shown_the_box_is_idle(bench: Bench) -> None:
    assert bench.ask(view.AskStatus()).state == "idle"


def test_watchers_see_each_state_and_those_who_ask_see_one(bench: Bench) -> None:
    watcher, asker = bench.client(), bench.client()
    watcher.send(view.WatchBox())
    asker.send(view.AskStatus())
    assert bench.next(watcher).state == bench.next(asker).state == "idle"
    bench.local.show(CHOOSING, 5.0)
    seen = bench.next(watcher)
    assert (seen.state, seen.mono_ms) == ("choosing", 5.0)
    with pytest.raises(AssertionError, match="never came"):
        turn(bench.loop, lambda: _readable(asker), within_s=0.05)


def _readable(client: ipc.Channel) -> bool:
    try:
        client.receive()
    except BlockingIOError:
        return False
    return True


def test_the_link_to_the_centre_is_shown_beside_each_state(bench: Bench) -> None:
    watcher = bench.client()
    watcher.send(view.WatchBox())
    assert bench.next(watcher).link is None
    down = view.LinkView(up=False, since_ms=5, code="centre-slow")
    bench.local.show_link(down)
    assert (bench.next(watcher).link, bench.local._view.state) == (down, "idle")
    bench.local.show(CHOOSING, 7)
    shown = bench.next(watcher)
    assert (shown.link, shown.state) == (down, "choosing")


def test_what_is_so_of_the_box_is_in_every_view(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "standing.sock"
    local = LocalSocket(bench.loop, path, frozenset(), bench.fed.append, ("machine-altered",))
    for change in (lambda: None, lambda: local.show(CHOOSING, 7)):
        change()
        assert local._view.standing == ("machine-altered",)
    local.show_link(view.LinkView(up=True, since_ms=5))
    assert local._view.standing == ("machine-altered",)
    local.show_standing(("box-moved",))
    local.show(CHOOSING, 9)
    assert local._view.standing == ("box-moved",)
    assert local._view.link == view.LinkView(up=True, since_ms=5)
    local.close()


def test_a_choice_is_answered_at_once_and_handed_on_if_it_can_be(bench: Bench) -> None:
    def choose(project: str) -> str:
        answer = bench.ask(view.ChooseProject(project=project))
        return answer.code if isinstance(answer, view.NotTaken) else "taken"

    assert choose("p1") == "not-allowed", "nothing is being chosen"
    bench.local.show(CHOOSING, 0)
    assert choose("p9") == "project-not-granted"
    assert choose("p3") == "level-not-accepted"
    assert bench.fed == []
    assert choose("p2") == "taken"
    assert bench.fed == [on.ProjectChosen("p2")]


def test_a_one_time_code_is_taken_only_while_it_is_asked_for(bench: Bench) -> None:
    code = view.EnterCode(code="123456")
    assert bench.ask(code) == view.NotTaken(code="not-allowed")
    bench.local.show(at.CodeEntry(SESSION, access(), "enter-code"), 0)
    assert bench.ask(code) == view.Taken()
    assert bench.fed == [on.CodeEntered("123456")]


def test_giving_up_is_handed_on(bench: Bench) -> None:
    assert isinstance(bench.ask(view.CancelSession()), view.Taken)
    assert bench.fed == [on.Cancelled()]


def test_a_stranger_is_told_so_and_shown_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "other.sock", frozenset({os.getuid() + 1}))
    stranger = bench.client()
    with contextlib.suppress(ipc.Closed):
        stranger.send(view.WatchBox())
    turn(bench.loop, lambda: not bench.local._clients)
    bench.loop.run_until_complete(asyncio.sleep(0.01))
    try:
        answer = stranger.receive()
    except ipc.Closed:  # our word lies there unread: the kernel tells that first, once
        answer = stranger.receive()
    assert answer.code == "not-allowed"
    assert bench.ended(stranger)
    assert bench.fed == []
    bench.close()


@pytest.mark.parametrize(
    "frame",
    [b"x", b"{}", b'{"t":"view"}', b'{"t":"watch","v":2}', b'{"t":"watch","x":1}',
     b"[" * 9000, b'{"t":"choose","project":"' + b"p" * 300 + b'"}', b"\xff" * 150_000],
)  # fmt: skip
def test_garbage_ends_its_connection_and_no_other(bench: Bench, frame: bytes) -> None:
    good, bad = bench.client(), bench.client()
    good.send(view.WatchBox())
    bench.next(good)
    bad.sock.send(frame)
    assert bench.ended(bad)
    bench.local.show(CHOOSING, 0)
    assert bench.next(good).state == "choosing"


def test_descriptors_sent_along_are_closed(bench: Bench) -> None:
    client = bench.client()
    before = len(os.listdir("/proc/self/fd"))
    ours = os.open("/dev/null", os.O_RDONLY)
    frame = b'{"t":"status","v":1}'
    socket.send_fds(client.sock, [frame], [ours])
    os.close(ours)
    bench.next(client)
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the accepted connection


def test_a_thousand_connections_leave_the_box_answering(bench: Bench) -> None:
    watcher = bench.client()
    watcher.send(view.WatchBox())
    bench.next(watcher)
    for _ in range(1000):
        flood = bench.client()
        bench.loop.call_soon(bench.loop.stop)
        bench.loop.run_forever()
        if len(bench.open) > 200:
            bench.open.pop(1).close()
        assert flood.fileno() >= 0
    assert len(bench.local._clients) <= MAX_CLIENTS
    assert bench.ask(view.AskStatus()).state == "idle"
    bench.local.show(CHOOSING, 0)
    assert bench.next(watcher).state == "choosing", "the one that watches was not displaced"


def test_when_all_watch_the_next_is_turned_away(bench: Bench) -> None:
    watchers = [bench.client() for _ in range(MAX_CLIENTS)]
    for watcher in watchers:
        watcher.send(view.WatchBox())
        bench.next(watcher)
    assert bench.next(bench.client()).code == "not-allowed"
    watchers[0].close()
    turn(bench.loop, lambda: len(bench.local._clients) < MAX_CLIENTS)
    assert bench.ask(view.AskStatus()).state == "idle"


def test_a_watcher_that_does_not_read_is_let_go_and_nobody_waits(bench: Bench) -> None:
    deaf, good = bench.client(), bench.client()
    for client in (deaf, good):
        client.send(view.WatchBox())
        bench.next(client)
    for n in range(5000):
        bench.local.show(CHOOSING, float(n))
        assert bench.next(good).mono_ms == float(n)
        if len(bench.local._clients) == 1:
            break
    else:
        pytest.fail("it was never let go")


def test_without_a_descriptor_left_it_pauses_instead_of_spinning(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    class Listener:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def accept(self) -> None:
            calls.append(1)
            raise OSError(errno.EMFILE, "no descriptor left")

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    real = bench.local._listener
    monkeypatch.setattr(local, "PAUSE_S", 0.1)
    bench.local._listener = Listener(real)  # type: ignore[assignment]
    client = bench.client()
    client.send(view.AskStatus())
    with pytest.raises(AssertionError, match="never came"):
        turn(bench.loop, lambda: len(calls) > 3, within_s=0.15)
    bench.local._listener = real
    assert bench.next(client).state == "idle"


def test_a_socket_left_by_a_killed_agent_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as old:
        old.bind(str(path))
    bench = Bench(path, frozenset({os.getuid()}))
    assert bench.ask(view.AskStatus()).state == "idle"
    bench.close()
