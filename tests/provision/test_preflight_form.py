"""Preflight's form, its parsers, and the whole of it through a real network."""

import ast
import contextlib
import datetime as dt
import hashlib
import io
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.net.topology import BOX4, CARRIER4, CENTRE4, CENTRE_SIDE, UPLINK, Topology
from sdbox_agent.provision import preflight
from sdbox_agent.provision.preflight import FAILED, OK, OPEN, WARN, Row, Unreadable
from tests.certificates import Made, make
from tests.fuzz import fuzz_preflight
from tests.provision import servers

FILE = Path(preflight.__file__)
BEGINS = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
AUTHORITY = make("authority of the centre", BEGINS, 10)
CENTRE = make("centre", BEGINS, 10, by=AUTHORITY)
HERE = "127.0.0.1"
PROBE = preflight.DATA + preflight.MAGIC + bytes(preflight.NONCE_BYTES)


def closed_port() -> int:
    """One that nobody listens at: it was ours a moment ago."""
    with socket.create_server((HERE, 0)) as sock:
        return int(sock.getsockname()[1])


# -- the form --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "status"),
    [
        ([Row("udp", OK), Row("centre", OK)], 0),
        ([Row("udp", FAILED), Row("carrier", OK)], 1),
        ([Row("udp", WARN)], 1),
        ([Row("udp", FAILED), Row("carrier", FAILED)], 2),
        ([Row("udp", FAILED), Row("carrier", OPEN)], 2),
        ([Row("udp", OK), Row("centre", FAILED)], 2),
        ([Row("udp", OK), Row("portal", FAILED)], 2),
        ([Row("udp", OK), Row("proxy", FAILED)], 1),
        ([Row("udp", OPEN), Row("centre", OPEN)], 0),
    ],
)
def test_one_way_for_the_tunnel_is_enough(found: list[Row], status: int) -> None:
    assert preflight.status(found) == status


def test_the_form_says_everything_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--centre", f"{HERE}:{closed_port()}", "--nowhere", f"{HERE}:{closed_port()}"]
    assert preflight.main(words) == 2
    out = capsys.readouterr().out
    for word in ("Fiche technique", "Technical form", "ne fonctionnera pas", "will not work"):
        assert word in out
    for titles in preflight.TITLES.values():
        assert all(title in out for title in titles)
    assert preflight.main([*words, "--language", "en"]) == 2
    assert "Fiche" not in capsys.readouterr().out


def test_json_names_every_probe_that_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    at = f"{HERE}:{closed_port()}"
    assert preflight.main(["--json", "--centre", at, "--nowhere", at]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["sent"] == [f"TCP {at}: TLS", f"TCP {at}: GET /"]
    at = f"localhost:{closed_port()}"
    preflight.main(["--json", "--centre", at, "--nowhere", f"{HERE}:{closed_port()}"])
    sent = json.loads(capsys.readouterr().out)["sent"]
    assert sent[:3] == ["DNS: localhost", "DNS: *.invalid", f"TCP {at}: TLS"]
    assert {row["name"] for row in told["rows"]} == set(preflight.TITLES)


def test_every_code_has_its_words_and_no_other() -> None:
    source = FILE.read_text("utf-8")
    named = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for code, words in preflight.REMEDIES.items():
        assert source.count(f'"{code}"') > 1, code
        assert len(words) == 2
        assert all(each.endswith(".") for each in words)
    assert set(preflight.REMEDIES) <= named


def test_it_wants_to_know_whom_to_ask(capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--centre", f"{HERE}:1")
    for wrong in (
        [],
        ["--centre", "no port"],
        ["--centre", "x:0"],
        ["--time-server", "a b"],
        ["--centre", f"{'a' * 64}.test:443"],
        ["--centre", f"{'a.' * 127}test:443"],
        ["--centre", "a..b:443"],
        ["--centre", ".a:443"],
        ["--centre", "[.]:443"],
        ["--centre", "é.test:443"],
        [*at, "--gateway", "a..b:1"],
        [*at, "--anchor", "/x"],
        [*at, "--carrier-sha256", "0g" * 32],
    ):
        with pytest.raises(SystemExit):
            preflight.main(wrong)
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "lambda" not in told


def test_a_time_server_may_have_an_address_of_either_kind() -> None:
    words = ("--centre", f"{HERE}:1", "--time-server", "2001:db8::7b", "--time-server", HERE)
    servers = preflight._options([*words]).time_server
    assert [str(each) for each in servers] == ["[2001:db8::7b]:123", f"{HERE}:123"]


def test_a_terminal_that_knows_no_apostrophe_gets_the_form_all_the_same() -> None:
    """As in a French Windows console: what was measured is not lost."""
    words = ("--centre", f"{HERE}:1", "--nowhere", f"{HERE}:1", "--language", "fr")
    done = subprocess.run(
        [sys.executable, FILE, *words],
        env={**os.environ, "PYTHONIOENCODING": "cp850"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, b"")
    assert "échec".encode("cp850") in done.stdout


def test_an_end_that_can_t_be_or_is_ended_says_so_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HERE, 0))
        at = f"{HERE}:{taken.getsockname()[1]}"
        assert preflight.main(["--answer", at]) == 2
    assert capsys.readouterr().err == f"{at} Address already in use\n"

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preflight, "answer", interrupted)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert preflight.main(["--answer", at]) == 130


@pytest.mark.parametrize("system", ["linux", "plan9"])  # which can't refuse to fragment
def test_an_end_at_the_centre_is_nothing_but_that(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    class EnoughError(Exception):
        pass

    sent = [(PROBE, ("::1", 9)), (b"stranger", ("::1", 9))]
    answered = []

    class Socket(contextlib.AbstractContextManager):
        def __init__(self, family: int, _: int) -> None:
            assert family == socket.AF_INET6

        def __exit__(self, *_: object) -> None:
            pass

        def setsockopt(self, *_: int) -> None:
            pass

        def bind(self, _: object) -> None:
            pass

        def recvfrom(self, _: int) -> tuple[bytes, object]:
            if not sent:
                raise EnoughError
            return sent.pop(0)

        def sendto(self, data: bytes, _: object) -> None:
            answered.append(data)
            raise OSError

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(EnoughError):
        preflight.main(["--answer", "[::1]:9"])
    assert answered == [PROBE]


def test_it_runs_by_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(FILE), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FILE), run_name="__main__")
    assert ended.value.code == 0


def test_it_is_python_3_9_and_needs_nothing_but_its_library() -> None:
    tree = ast.parse(FILE.read_text("utf-8"), feature_version=(3, 9))
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names


# -- what comes from outside -----------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    fuzz_preflight.target(data)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(min_size=8, max_size=8))
def test_an_answer_of_a_time_server_is_read(one: int, other: int, nonce: bytes) -> None:
    stamps = one.to_bytes(8, "big") + other.to_bytes(8, "big")
    reply = b"\x24\x01" + bytes(22) + nonce + stamps
    received, sent = preflight.ntp_times(reply, nonce)
    assert received == one / 2**32 - preflight.NTP_EPOCH_S
    assert sent == other / 2**32 - preflight.NTP_EPOCH_S
    for wrong in (
        reply[:47],
        b"\x23" + reply[1:],
        b"\x24\x00" + reply[2:],
        b"\x24\x10" + reply[2:],
    ):
        with pytest.raises(Unreadable):
            preflight.ntp_times(wrong, nonce)
    with pytest.raises(Unreadable):
        preflight.ntp_times(reply, bytes(8) if nonce != bytes(8) else b"\1" * 8)


@pytest.mark.parametrize("made", [CENTRE, AUTHORITY], ids=["centre", "own"])
def test_the_issuer_of_a_real_certificate_is_read(made: Made) -> None:
    assert preflight.issuer(fuzz_preflight.CERTIFICATE) == "AB, CD"
    assert preflight.issuer(fuzz_preflight.OF_A_COUNTRY) == "CD"
    names = {each.value for each in made.certificate.issuer}
    assert set(preflight.issuer(made.der).split(", ")) == names
    for end in range(len(made.der) - 1):
        with contextlib.suppress(Unreadable):
            preflight.issuer(made.der[:end])


# -- through a real network ------------------------------------------------------------------------


@contextlib.contextmanager
def answering(topology: Topology) -> Iterator[None]:
    """This file's other end, in the centre's namespace."""
    argv = ["nsenter", f"--net={topology.centre.path}", sys.executable, "-I", str(FILE)]
    with subprocess.Popen([*argv, "--answer", f"{CENTRE4}:51820"]) as process:
        try:
            yield
        finally:
            process.kill()


def through(topology: Topology, *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    argv = ["nsenter", f"--net={topology.box.path}", sys.executable, "-I", str(FILE), "--json"]
    done = subprocess.run([*argv, *words], capture_output=True, timeout=120, check=False)
    assert done.stderr == b""
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.rig
def test_a_real_way_its_width_its_blocks_and_a_portal_over_all(tmp_path: Path) -> None:
    centre = make("centre", BEGINS, 10, by=AUTHORITY, address=CENTRE4)
    centre.write(tmp_path / "centre.pem")
    (tmp_path / "anchor.pem").write_bytes(AUTHORITY.pem)
    words = (
        *("--centre", f"{CENTRE4}:443", "--anchor", str(tmp_path / "anchor.pem")),
        *("--gateway", f"{CENTRE4}:51820", "--carrier", f"{CARRIER4}:443"),
        *("--carrier-sha256", hashlib.sha256(centre.der).hexdigest()),
        *("--nowhere", "198.51.100.1:80"),  # TEST-NET-2: the topology's own net is TEST-NET-1
    )
    tls = servers.tls(tmp_path / "centre.pem")
    with Topology() as topology, contextlib.ExitStack() as stack:
        inside = topology.centre.run
        for at in (CENTRE4, CARRIER4):
            server = servers.tcp(at, 443, tls)
            inside(server.__enter__)
            stack.callback(server.__exit__, None, None, None)
        stack.enter_context(answering(topology))
        topology.box.ip(f"route add default via {CENTRE4}")
        topology.centre.ip("route add unreachable 198.51.100.0/24")
        status, found = through(topology, *words)
        measured = {"mtu", "carrier", "centre", "portal"}
        assert {name: found[name]["result"] for name in measured} == dict.fromkeys(measured, OK)
        assert found["mtu"]["detail"] == "1500"
        late = found["udp"]["result"] == WARN  # an echo, on a machine with much else to do
        assert (status, found["udp"]["code"]) == ((1, "udp-loss") if late else (0, ""))

        for side, device in ((topology.box, UPLINK), (topology.centre, CENTRE_SIDE)):
            side.ip(f"link set {device} mtu 1320")
        status, found = through(topology, *words)
        assert (found["mtu"]["code"], found["mtu"]["detail"]) == ("mtu-small", "1280")
        assert status == 1

        topology.centre.nft(
            "table ip t {\n chain c {\n type filter hook input priority 0;\n"
            f"ip saddr {BOX4} udp dport 51820 drop\n }}\n }}\n"
        )
        status, found = through(topology, *words)
        assert (status, found["udp"]["code"], found["carrier"]["result"]) == (1, "udp-blocked", OK)

        topology.centre.nft(f"insert rule ip t c ip saddr {BOX4} tcp dport 443 drop")
        status, found = through(topology, *words)
        assert (status, found["carrier"]["code"], found["centre"]["code"]) == (
            2, "tcp-blocked", "tcp-blocked",
        )  # fmt: skip

        topology.centre.nft("delete table ip t")
        topology.centre.ip("route del unreachable 198.51.100.0/24")
        topology.centre.ip(f"addr add 198.51.100.1/32 dev {CENTRE_SIDE}")
        portal = servers.tcp("198.51.100.1", 80, servers.says(b"HTTP/1.1 511 Log in\r\n\r\n"))
        inside(portal.__enter__)
        stack.callback(portal.__exit__, None, None, None)
        status, found = through(topology, *words)
        assert (status, found["portal"]["code"]) == (2, "portal")
