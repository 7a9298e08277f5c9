"""What set-up measures of a host's network: preflight's rows over loopback, without their words."""

import socket
from pathlib import Path

import pytest

from sdbox_agent.centre.reported import MAX_LINES
from sdbox_agent.profile.schema import Centre, Lan
from sdbox_agent.provision import preflight
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup import measuring
from tests.provision.setup.people import AUTHORITIES, answers

PLACE = ("127.0.0.1", "::1")


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    path = tmp_path / "centre.pem"
    path.write_bytes(answering.pem((AUTHORITIES["centre"].certificate_der,)))
    return path


@pytest.fixture
def closed() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_each_probe_is_a_line_without_words(
    anchor: Path, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "WAIT_S", 0.2)
    asked: list[object] = []

    def resolve(host: str, *words: object, **more: object) -> list[object]:
        asked.append(host)
        return lookup(host, *words, **more)

    lookup = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    centre = Centre(host="centre.test", port=closed, addresses=PLACE)
    one = answers(centre=centre, lan=Lan(uplinks=("eth0",), time_servers=("127.0.0.1",)))
    found = {each.what: each for each in measuring.network(one, anchor)}
    assert list(found) == ["address", "clock", "centre"]
    assert [each.code for each in found.values()] == ["", "time-silent", "tcp-blocked"]
    assert set(asked) == {"127.0.0.1"}, "a box knows addresses"


def test_what_has_the_most_time_servers_is_told_whole(
    anchor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [preflight.Row("clock", preflight.OK)] * 20
    monkeypatch.setattr(measuring, "PROBES", (lambda _: rows,))
    assert len(measuring.network(answers(), anchor)) == MAX_LINES


def test_nobody_else_is_spoken_to(anchor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By preflight's own list of what it sends."""
    seen: list[str] = []
    monkeypatch.setattr(preflight.Probes, "tell", lambda _, what: seen.append(what))
    monkeypatch.setattr(preflight, "WAIT_S", 0.05)
    lan = Lan(uplinks=("eth0",), time_servers=("127.0.0.1",))
    measuring.network(answers(centre=Centre(host="127.0.0.1", port=1), lan=lan), anchor)
    assert seen == ["UDP 127.0.0.1:123: NTP, 48 bytes", "TCP 127.0.0.1:1: TLS"]
