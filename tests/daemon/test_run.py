"""The core whole, in the rig: SIGTERM in whatever state, a second agent, its workers killed."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from hil.box import CORE_UID
from hil.issuing import Holder
from hil.operator import Watch
from hil.rig import Rig
from hil.scenarios import session
from sdbox_agent.audit import outbox, record
from sdbox_agent.daemon import published
from sdbox_agent.state import store
from sdbox_agent.state.attempts import Attempts
from sdbox_agent.state.filesystem import RealFileSystem
from tests.daemon.ending import refusal
from tests.waiting import until

pytestmark = pytest.mark.rig
ROOT = Path(__file__).parents[2]
EXIT_S = 10.0  # 3 s are promised; the machine may be busy


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as one:
        one.locked = one.enrol("test-holder-02", seed=2)  # type: ignore[attr-defined]
        lock(one, one.locked)  # type: ignore[attr-defined]
        one.good = one.enrol("test-holder-01", seed=1)  # type: ignore[attr-defined]
        one.start()
        with contextlib.closing(Watch(one.box)) as watch:
            watch.state("idle")
        yield one


@pytest.fixture
def watch(rig: Rig) -> Iterator[Watch]:
    with contextlib.closing(Watch(rig.box)) as one:
        one.state("idle")
        yield one
        rig.operator.remove()


def lock(rig: Rig, holder: Holder) -> None:
    """This box has counted ten failures of the card; the centre none."""
    state = rig.box.paths.state
    os.chown(state, 0, 0)  # whoever writes there owns it
    files = RealFileSystem(state)
    name = hashlib.sha256(holder.certificates.auth).digest()
    Attempts(store.load(files)).lower(name, 0)
    files.close()
    for path in (state, *state.iterdir()):
        os.chown(path, CORE_UID, CORE_UID)


def codes(rig: Rig) -> list[str]:
    path = rig.box.paths.state / outbox.NAME
    outbox.verify_file(path)
    return [record.decode(line).code for line in path.read_bytes().splitlines()]


def last_session(rig: Rig) -> tuple[str, str]:
    """State and code of the newest session, as the centre has them."""
    with contextlib.closing(sqlite3.connect(rig.centre.root / "db/centre.sqlite")) as database:
        return database.execute("SELECT state, code FROM sessions ORDER BY id DESC").fetchone()


def terminate(rig: Rig) -> float:
    """SIGTERM to the core; the seconds until it is gone."""
    pid = rig.box.pid("sdbox-agent")
    pidfd = os.pidfd_open(pid)
    started = time.monotonic()
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
    os.close(pidfd)
    return time.monotonic() - started


def restarted(rig: Rig) -> None:
    rig.operator.remove()
    rig.box.wait_ready()


def test_its_memory_is_closed(rig: Rig) -> None:
    process = Path(f"/proc/{rig.box.pid('sdbox-agent')}")
    assert (process.stat().st_uid, (process / "mem").stat().st_uid) == (CORE_UID, 0)
    limits = (process / "limits").read_text().splitlines()
    (core,) = (line.split()[4:6] for line in limits if line.startswith("Max core file size"))
    assert core == ["0", "0"]


def test_a_second_agent_ends_and_leaves_the_first_alone(rig: Rig, tmp_path: Path) -> None:
    """Fault 62."""
    said = refusal(rig.box.paths.root, tmp_path / "second.log", "--json")
    assert "already-running" in said
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")


def _open_to_others(state: Path, _run: Path) -> None:
    state.chmod(0o777)


def _a_file_open_to_others(state: Path, _run: Path) -> None:
    (state / "state.json").chmod(0o666)


def _a_file_of_another(state: Path, _run: Path) -> None:
    os.chown(state / "state.json", 0, 0)


def _a_symlink(state: Path, _run: Path) -> None:
    (state / "state.json").rename(state.parent / "elsewhere")
    (state / "state.json").symlink_to(state.parent / "elsewhere")


def _missing(state: Path, _run: Path) -> None:
    shutil.rmtree(state)


def _no_runtime_directory(_state: Path, run: Path) -> None:
    run.rmdir()


@pytest.mark.parametrize(
    ("spoil", "code", "named"),
    [
        (_open_to_others, "state-damaged", "var/lib/sdbox: directory of another owner"),
        (_a_file_open_to_others, "state-damaged", "var/lib/sdbox: state.json: others may write"),
        (_a_file_of_another, "state-damaged", "var/lib/sdbox: state.json: belongs to another"),
        (_a_symlink, "state-damaged", "var/lib/sdbox: state.json: a symlink"),
        (_missing, "state-damaged", "var/lib/sdbox: No such file"),
        (_no_runtime_directory, "config-invalid", "run/sdbox/agent.sock: No such file"),
    ],
)
def test_a_directory_that_is_not_as_it_should_be_is_named_and_nothing_starts(
    rig: Rig, spoil: Callable[[Path, Path], None], code: str, named: str
) -> None:
    """Fault 61."""
    root = rig.root / f"other-{spoil.__name__}"
    state, run = root / "var/lib/sdbox", root / "run/sdbox"
    shutil.copytree(rig.box.paths.config, root / "etc/sdbox")
    for path in (state, run):
        path.mkdir(parents=True)
    shutil.copy(rig.box.paths.state / "state.json", state)
    identity = root / "etc/sdbox/identity"
    for path in (identity, *identity.iterdir(), state, *state.iterdir(), run):
        os.chown(path, CORE_UID, CORE_UID)
    spoil(state, run)
    said = refusal(root, root / "core.log")
    assert (f"({code})" in said, named in said) == (True, True), said


def test_garbage_and_a_flood_at_the_local_socket_disturb_no_session(rig: Rig, watch: Watch) -> None:
    """Faults 95 to 97, while a session is under way."""
    assert session.to_finger(rig, watch, rig.good).state == "scanning"
    flood = []
    for n in range(1000):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(1)
        with contextlib.suppress(OSError):  # full for the moment, or ended already
            sock.connect(str(rig.box.paths.agent_socket))
            sock.send(os.urandom(n) or b"\0")
        flood.append(sock)
        if len(flood) > 100:
            flood.pop(0).close()
    rig.operator.place(rig.good.person)
    assert watch.state("open", *session.OVER).state == "open"
    for sock in flood:
        sock.close()
    assert session.leave(rig, watch).code == "card-removed"


def test_a_finger_process_that_is_killed_while_idle_is_warm_again(rig: Rig, watch: Watch) -> None:
    before = rig.box.pid("sdbox-finger@")
    os.kill(before, signal.SIGKILL)
    until(lambda: rig.box.units()["sdbox-finger@"].pids not in ([before], []))
    warm = rig.box.pid("sdbox-finger@")
    assert session.enter(rig, watch, rig.good).state == "open"
    until(lambda: not Path(f"/proc/{warm}").exists())  # it has done its one transaction
    assert session.leave(rig, watch).code == "card-removed"


def test_a_card_this_box_had_locked_is_free_after_an_unlock_by_staff(
    rig: Rig, watch: Watch
) -> None:
    assert session.enter(rig, watch, rig.locked).code == "card-locked"
    rig.operator.remove()
    watch.state("idle")
    rig.centre.unlock_card(rig.locked)
    assert session.enter(rig, watch, rig.locked).state == "open"
    assert session.leave(rig, watch).code == "card-removed"
    assert "card-locked" in codes(rig)


def test_sigterm_with_the_tunnel_up_takes_it_down_tells_the_centre_and_ends(
    rig: Rig, watch: Watch
) -> None:
    assert session.enter(rig, watch, rig.good).state == "open"
    assert last_session(rig)[0] == "open"
    assert terminate(rig) < EXIT_S
    assert session.residue(rig) == []
    assert last_session(rig) == ("ended", "shutdown")
    assert codes(rig)[-1] == "shutdown"
    restarted(rig)


def test_sigterm_while_the_centre_hangs_ends_all_the_same(rig: Rig) -> None:
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")
        assert session.enter(rig, watch, rig.good).state == "open"
        rig.centre.api.kill(signal.SIGSTOP)
        try:
            assert terminate(rig) < EXIT_S
            assert session.residue(rig) == []
        finally:
            rig.centre.api.kill(signal.SIGCONT)
    restarted(rig)


def test_sigterm_while_the_finger_is_awaited_and_the_next_session_is_good(rig: Rig) -> None:
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")
        assert session.to_finger(rig, watch, rig.good).state == "scanning"
        assert terminate(rig) < EXIT_S
    assert codes(rig)[-1] == "shutdown"
    restarted(rig)
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")
        assert session.enter(rig, watch, rig.good).state == "open"
        assert session.leave(rig, watch).code == "card-removed"
        assert session.residue(rig) == []


def test_a_card_that_lies_there_at_the_start_begins_nothing_until_it_was_out(rig: Rig) -> None:
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")
        assert session.to_finger(rig, watch, rig.good).state == "scanning"
    before = len(codes(rig))
    os.kill(rig.box.pid("sdbox-agent"), signal.SIGKILL)
    starts = rig.box.units()["sdbox-agent"].starts
    until(lambda: rig.box.units()["sdbox-agent"].starts > starts)
    rig.box.wait_ready()
    with contextlib.closing(Watch(rig.box)) as watch:
        watch.state("idle")
        time.sleep(0.5)  # a session would have begun within milliseconds
        assert [view.state for view in watch.views] == ["idle"]
        assert "card-valid" not in codes(rig)[before:]
        rig.operator.remove()
        assert session.enter(rig, watch, rig.good).state == "open"
        assert session.leave(rig, watch).code == "card-removed"


def test_an_operator_checks_a_card_at_the_box_by_the_lists_its_core_goes_by(
    rig: Rig, watch: Watch
) -> None:
    """Both authorities' lists came through the centre; a session's card is left alone."""

    def box(*words: str) -> bytes:
        command = [str(ROOT / ".venv/bin/python"), "-m", "sdbox_agent"]
        command += ["--root", str(rig.box.paths.root), *words, "--json"]
        environment = {"PATH": "/usr/bin", **rig.pcscd.environment}
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, check=False
        ).stdout

    assert session.to_finger(rig, watch, rig.good).state == "scanning"
    assert json.loads(box("card", "check")) == {"error": "card-in-use"}
    box("cancel")
    watch.code("cancelled")  # the card stays
    said = json.loads(box("card", "check"))
    assert said["verdict"]["believed"], said
    lists = [x509.load_der_x509_crl(one) for one in published.read(rig.box.paths.crls)]
    issuers = (rig.issuing.cards, rig.issuing.desks)
    assert {one.issuer for one in lists} == {one.certificate.subject for one in issuers}
    assert len(lists) == 2
    session.leave_spent(rig, watch)
