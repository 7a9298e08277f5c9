"""The core's end of the local socket, played, and the command line run against it."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sdbox_agent import cli, ipc
from sdbox_agent.daemon import view
from sdbox_agent.paths import Paths

OPEN = view.View(
    n=3, state="open", mono_ms=1, level="host-match", project="p1", attempts_left=2, vm_ms=4.5
)


class Box:
    """The core's end of the local socket, served once per client by `serve`."""

    def __init__(self, root: Path) -> None:
        self.heard: list[ipc.Message] = []
        self.serve: Callable[[ipc.Channel], None] = lambda _: None
        path = Paths(root).agent_socket
        path.parent.mkdir(parents=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ipc.name_senders(self._listener)
        self._listener.bind(str(path))
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            client: ipc.Channel = ipc.Channel(sock, view.ToBox, os.getuid())
            with contextlib.closing(client), contextlib.suppress(ipc.Closed):
                self.serve(client)  # which may leave in the middle

    def answers(self, *messages: ipc.Message) -> None:
        def serve(client: ipc.Channel) -> None:
            self.heard.append(client.receive())
            for message in messages:
                client.send(message)

        self.serve = serve

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    one = Box(tmp_path)
    yield one
    one.close()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main(["--root", str(tmp_path), "--language", "en", *words])
        return code, *capsys.readouterr()

    return call
