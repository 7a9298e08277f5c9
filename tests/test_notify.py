"""What the manager and the journal are told, read back at the other end."""

import ast
import os
import re
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import notify
from sdbox_agent.errors import Bug
from sdbox_agent.notify import Event
from sdbox_agent.terms import Level, SessionNumber
from tests.waiting import PATIENCE_S

FIELDS = {"SDBOX_CODE", "SDBOX_SESSION", "SDBOX_LEVEL", "SDBOX_USB_ID", "SDBOX_USB_PORT"}
CATALOG = Path(__file__).parents[1] / "systemd/sdbox.catalog"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_the_manager_hears_each_notification(manager: socket.socket) -> None:
    notify.ready()
    notify.status("carte\nattendue\x1b[31m")
    notify.alive()
    notify.stopping()
    heard = [manager.recv(500) for _ in range(4)]
    assert heard == [
        b"READY=1",
        b"STATUS=carte attendue [31m",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()


def test_a_manager_that_is_gone_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify.alive()
    assert "does not listen" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("usec", "pid", "interval_s"),
    [
        ("3000000", None, 1.5),
        ("3000000", str(os.getpid()), 1.5),
        ("3000000", "1", None),
        ("0", None, None),
        ("x", None, None),
        ("", None, None),
    ],
    ids=["any", "mine", "another's", "off", "word", "empty"],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, interval_s: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert notify.watchdog_interval_s() == interval_s


def test_a_loop_tells_when_it_is_time_and_no_more_often(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "7200000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    watchdog = notify.Watchdog()
    waits_s = [watchdog.feed() for _ in range(3)]
    notify.ready()
    assert [manager.recv(500) for _ in range(2)] == [b"WATCHDOG=1", b"READY=1"]
    assert 3600.001 > waits_s[0] >= waits_s[1] >= waits_s[2] > 3500  # a sum of two floats


def test_a_loop_that_nobody_watches_waits_as_long_as_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert notify.Watchdog().feed() is None


def test_outside_systemd_an_event_is_one_line_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "JOURNAL_SOCKET", tmp_path / "none")
    notify.event(
        Event.SESSION_OPENED, "session-open", session=SessionNumber(3), level=Level.HOST_MATCH
    )
    line = "<6>sdbox-agent: session-opened session-open session=3 level=host-match\n"
    assert capfd.readouterr().err == line


def test_with_a_journal_an_event_carries_its_id_and_fields(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[tuple[str, dict[str, str]]] = []
    (tmp_path / "socket").touch()
    monkeypatch.setattr(notify, "JOURNAL_SOCKET", tmp_path / "socket")
    monkeypatch.setattr(notify.journal, "send", lambda text, **fields: sent.append((text, fields)))
    notify.event(Event.FAULT, "sensor-failed", session=SessionNumber(4))
    assert sent == [
        (
            "fault sensor-failed session=4",
            {
                "MESSAGE_ID": Event.FAULT.value,
                "PRIORITY": "3",
                "SYSLOG_IDENTIFIER": "sdbox-agent",
                "SDBOX_EVENT": "fault",
                "SDBOX_CODE": "sensor-failed",
                "SDBOX_SESSION": "4",
            },
        )
    ]


def test_a_refused_device_is_told_by_its_numbers_and_its_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notify, "JOURNAL_SOCKET", tmp_path / "none")
    notify.event(Event.USB_REFUSED, "usb-refused", usb_id="0781:5567", usb_port="1-2.3")
    line = "<5>sdbox-agent: usb-refused usb-refused usb=0781:5567 port=1-2.3\n"
    assert capfd.readouterr().err == line


@pytest.mark.parametrize("given", [{"usb_id": "Disk:0001"}, {"usb_port": "1-2\n"}])
def test_of_a_device_nothing_else_gets_into_an_event(given: dict[str, str]) -> None:
    with pytest.raises(Bug):
        notify.event(Event.USB_REFUSED, "usb-refused", **given)


@pytest.mark.parametrize("code", ["Test Holder", "a\nb", "no-match\n", "", "A-B", "x" * 99])
def test_only_a_code_gets_into_an_event(code: str) -> None:
    with pytest.raises(Bug):
        notify.event(Event.REFUSED, code)


def entries() -> dict[tuple[str, str], str]:
    text = CATALOG.read_text("utf-8")
    parts = re.split(r"^-- ([0-9a-f]{32})(?: (\w+))?$", text, flags=re.MULTILINE)[1:]
    found = list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))
    assert len({(i, lang) for i, lang, _ in found}) == len(found)  # journalctl does not say so
    return {(i, lang or "en"): body for i, lang, body in found}


def test_the_catalogue_explains_every_event_in_both_languages_and_nothing_else() -> None:
    wanted = {(kind.value, language) for kind in Event for language in ("en", "fr")}
    assert set(entries()) == wanted
    for body in entries().values():
        assert re.match(r"\nSubject: \S.+\nDefined-By: sdbox-agent\n\n\S", body)
        assert set(re.findall(r"@(\w+)@", body)) <= FIELDS
    assert all(uuid.UUID(kind.value).version == 4 for kind in Event)


def sent() -> dict[str, set[str]]:
    """Event -> the fields that every call which sends it gives, by the agent's source."""
    ends = {"SESSION_CLOSED", "REFUSED", "FAULT", "BUG"}  # told.record: by how the session ended
    fields: dict[str, set[str]] = {}
    for path in CATALOG.parents[1].glob("sdbox_agent/**/*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "notify.event":
                kind = ast.unparse(call.args[0])
                given = {"SDBOX_CODE"} | {f"SDBOX_{word.arg}".upper() for word in call.keywords}
                named = {kind.rpartition(".")[2]} if "notify.Event." in kind else ends
                for name in named:
                    fields[name] = fields.get(name, given) & given
    return fields


def test_every_event_is_sent_with_the_fields_its_explanation_quotes() -> None:
    """Of a field that is not there, journalctl prints the name."""
    fields = sent()
    assert set(fields) == {kind.name for kind in Event}
    for (identity, _), body in entries().items():
        assert set(re.findall(r"@(\w+)@", body)) <= fields[Event(identity).name], body


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with our catalogue in systemd's own form, and a French locale."""
    if not shutil.which("journalctl"):
        pytest.skip("no journalctl here")
    root = tmp_path_factory.mktemp("catalogue")
    for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (root / directory).mkdir(parents=True)
    shutil.copy(CATALOG, root / "usr/lib/systemd/catalog")
    shutil.copytree("/usr/lib/locale/C.utf8", root / "fr_FR.UTF-8")  # its name is what counts
    assert journalctl(root, "fr", "--update-catalog") == ""
    return root


def journalctl(root: Path, language: str, *words: str) -> str:
    locale = {"fr": "fr_FR.UTF-8", "en": "C.UTF-8"}[language]
    done = subprocess.run(
        ["journalctl", f"--root={root}", "--no-pager", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"LC_ALL": locale, "LOCPATH": str(root)} if language == "fr" else None,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("language", ["en", "fr"])
def test_journalctl_explains_every_event(database: Path, language: str) -> None:
    listed = journalctl(database, language, "--list-catalog").splitlines()
    assert len(listed) == len(Event)
    dumped = journalctl(database, language, "--dump-catalog")
    for kind in Event:
        body = entries()[kind.value, language].strip()
        subject = body.splitlines()[0].removeprefix("Subject: ")
        assert f"{kind.value} sdbox-agent: {subject}" in listed
        assert f"-- {kind.value}\n{body}\n" in dumped


def test_a_catalogue_that_is_none_is_not_taken(database: Path, tmp_path: Path) -> None:
    broken = tmp_path / "root"
    shutil.copytree(database, broken)
    with (broken / "usr/lib/systemd/catalog/sdbox.catalog").open("a") as file:
        file.write(f"\n-- {Event.BUG.value} \nSubject: x\n")
    with pytest.raises(AssertionError, match=r"sdbox\.catalog"):
        journalctl(broken, "en", "--update-catalog")
