"""How the container is started, and what is said where there can be none. tests/boot boots it."""

from pathlib import Path

import pytest

from hil.boot import machine
from hil.boot.machine import Failed, Machine
from hil.net.namespace import Namespace


class Somewhere(Namespace):
    """A name, and no namespace."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = path.name, path


@pytest.fixture
def one(tmp_path: Path) -> Machine:
    return Machine(tmp_path, tmp_path, Somewhere(tmp_path / "box"), "/dev/pts/7")


def test_its_only_network_is_the_one_given_and_nobody_else_is_told_of_it(
    one: Machine, tmp_path: Path
) -> None:
    words = one.arguments()
    assert f"--network-namespace-path={tmp_path / 'box'}" in words
    assert "--bind=/dev/pts/7:/dev/tty1" in words
    assert {"--register=no", "--keep-unit", "--boot"} <= set(words)
    assert not [word for word in words if word.startswith(("--network-veth", "--port"))]


def test_one_that_was_never_started_ends_without_a_word(one: Machine) -> None:
    one.halt()
    one.kill()


def test_a_command_that_fails_is_told_with_what_it_said(
    one: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "ask", lambda *_, **__: (3, "out", "err"))
    with pytest.raises(Failed, match=r"false: 3\nouterr"):
        one.run("false")


def test_what_a_unit_shows_is_read_line_by_line(
    one: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "ask", lambda *_, **__: (0, "MainPID=0\nEnvironment=A=b\n", ""))
    assert one.show("x") == {"MainPID": "0", "Environment": "A=b"}
    assert one.pid("x") == 0


def test_who_is_not_of_it_is_told_apart(one: Machine) -> None:
    one.leader = 1
    assert one.holds(Path("/proc/4194304")) is False


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("root", "no root"),
        ("systemd-nspawn", "no systemd-nspawn (Debian: systemd-container)"),
        ("mmdebstrap", "no mmdebstrap (Debian: mmdebstrap)"),
        ("tun", "no /dev/net/tun"),
        ("namespaces", "no namespaces, or no control groups"),
        ("", None),
    ],
)
def test_what_a_host_lacks_is_named(
    lacks: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ran:
        returncode = int(lacks == "namespaces")

    host = machine.host
    monkeypatch.setattr(host, "root", lambda: said if lacks == "root" else None)
    monkeypatch.setattr(host.shutil, "which", lambda name: None if name == lacks else name)
    monkeypatch.setattr(host, "tun", lambda: said if lacks == "tun" else None)
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: Ran())
    assert machine.missing() == said
