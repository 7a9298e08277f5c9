"""A fresh machine made a box by `sdbox-agent setup` against a real centre, a session, and its end.

The operator's part is played as docs/setup.md has it: order, answers, one command at the box, keys
read out, activation; staff's cards are the rig's. The machine is a root directory, with the files
of a kernel that is fit, and the package's own units.
"""

import contextlib
import io
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from hil.box import CORE_UID, REPOSITORY
from hil.net.process import Process, Unit
from hil.net.topology import CENTRE4, UPLINK
from hil.rig import BOX_NAME, Rig
from hil.scenarios.session import enter
from sdbox_agent.provision.doctor import files
from sdbox_agent.provision.doctor.look import Look
from sdbox_agent.provision.doctor.parts import NEEDED
from sdbox_centre import cli
from sdbox_centre.authority import pem_of
from tests.provision.doctor.trees import TEXTS
from tests.waiting import until

pytestmark = pytest.mark.rig
WHY = ("--motive", "test")
RENTAL = ("--rental-from", "2026-01-01", "--rental-until", "2040-01-01")
ORDER = ("--host", "Test host", "--place", "Room 1", "--voucher", "HV-1", "--country", "FR")
TEMPLATE = f"""
profile = "virtual"
language = "en"
[centre]
host = "{CENTRE4}"
addresses = ["{CENTRE4}"]
[lan]
uplinks = ["{UPLINK}"]
dhcp = false
"""
SETUP_S = 60.0  # on a prepared root


class Field:
    """The rig, staff at the centre's command line, an operator at the machine."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.root = rig.root / "box"
        self.desk = rig.root / "desk"
        self.desk.mkdir()
        self.config = str(rig.centre.root / "api.toml")

    def fresh(self) -> None:
        """Another machine in its place, on which nothing of ours was ever made."""
        for name in ("etc", "var"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name, text in TEXTS.items():
            _write(self.root / name, text)
        units = self.root / "lib/systemd/system"
        shutil.copytree(REPOSITORY / "systemd", units, dirs_exist_ok=True)
        for name in NEEDED:
            _write(units / name, "[Unit]\n")
        _write(self.root / "etc/fstab", "/dev/a / ext4 defaults 0 1\n/dev/b none swap sw 0 0\n")

    def staff(self, *typed: str, stdin: str = "") -> str:
        """One of staff's verbs, as typed; what it printed."""

        @contextlib.contextmanager
        def card_at(_reader: str | None) -> Iterator[object]:
            yield self.rig.centre.members.signers[0]

        said, before = io.StringIO(), sys.stdin
        sys.stdin = io.StringIO(stdin)
        try:
            with contextlib.redirect_stdout(said):
                cli.main([*typed[:2], "--config", self.config, *typed[2:], *WHY], card_at)
        finally:
            sys.stdin = before
        return said.getvalue().strip()

    def staff_reads(self, *typed: str) -> str:
        """A verb that shows."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            cli.main([*typed, "--config", self.config], None)
        return said.getvalue()

    def order(self) -> tuple[Path, str, str]:
        """The file of answers, the anchor's digest, and the token in it, for a fresh machine."""
        self.fresh()
        token = self.staff("box", "order", BOX_NAME, *ORDER, *RENTAL)
        template, anchors = self.desk / "template.toml", self.desk / "centre.pem"
        template.write_text(TEMPLATE)
        anchors.write_bytes(pem_of(self.rig.issuing.servers.certificate))
        out = self.desk / f"{time.monotonic_ns()}" / "box.toml"
        out.parent.mkdir()
        told = self.staff(
            "box", "answers", BOX_NAME, str(template), str(out), "--centre-anchors", str(anchors),
            stdin=token + "\n",
        )  # fmt: skip
        return out, told.splitlines()[-1].removeprefix("anchor "), token

    def setup(self, *words: str, wait_s: int = 0) -> tuple[int, str]:
        """The operator's command, to its end."""
        process, log = self.begin(*words, wait_s=wait_s)
        try:
            assert process.wait(SETUP_S), log.read_text()
            assert process.status is not None
            return process.status, log.read_text()
        finally:
            process.end()

    def begin(self, *words: str, wait_s: int) -> tuple[Process, Path]:
        log = self.desk / f"setup-{time.monotonic_ns()}.log"
        argv = [str(REPOSITORY / ".venv/bin/python"), "-m", "sdbox_agent", "--root", str(self.root)]
        wait = ("--wait", str(wait_s))
        unit = Unit(
            argv=[*argv, "--language", "en", "setup", *words, *wait],
            network=self.rig.topology.box,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            output=log,
            directory=REPOSITORY,
        )
        return Process(unit), log


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with Rig(fresh=True) as rig:
        rig.holder = rig.enrol("test-holder-01", seed=4)  # type: ignore[attr-defined]
        rig.start_centre()
        yield Field(rig)


def keys_in(text: str) -> str:
    found = re.search(r"[A-Z2-7]{5}(?:-[A-Z2-7]{5}){3}", text)
    assert found, text
    return found[0]


def test_a_setup_killed_at_any_step_is_gone_on_with(field: Field) -> None:
    """By SIGKILL, as soon as each step's line is there; the last run ends as one that was not."""
    answers, anchor, _ = field.order()
    for number in range(1, 11):
        process, log = field.begin("--answers", str(answers), "--anchor", anchor, wait_s=0)
        with contextlib.closing(Ending(process)):
            until(partial(_is_there_or_over, f"{number:>2}/12", log, process))
    status, said = field.setup("--answers", str(answers), "--anchor", anchor)
    so, done = said.count(": already so"), said.count(": done")
    assert (status, so + done) == (1, 11), said
    assert so >= 9, "but for the step that the last kill came in, or before"
    assert "(activation-awaited)" in said


def test_one_command_makes_a_fresh_machine_a_box_that_opens_a_session(field: Field) -> None:
    answers, anchor, token = field.order()
    before = {path for path in field.root.rglob("*") if path.is_file()}

    status, said = field.setup("--answers", str(answers), "--anchor", anchor, "--dry-run")
    assert status == 0, said
    assert {path for path in field.root.rglob("*") if path.is_file()} == before

    began = time.monotonic()
    status, said = field.setup("--answers", str(answers), "--anchor", anchor)
    took_s = time.monotonic() - began
    assert status == 1, said
    assert "(activation-awaited)" in said
    assert took_s < SETUP_S
    travelling(field, token)

    # Staff read what the box reported, and hear its keys on the telephone.
    keys = keys_in(said)
    reports = field.staff_reads("box", "reports")
    assert keys in reports
    assert "address=ok clock=not-asked centre=ok" in reports
    process, log = field.begin("--answers", str(answers), wait_s=60)
    with contextlib.closing(Ending(process)):
        until(lambda: "(activation-awaited)" in log.read_text())
        field.staff("box", "activate", BOX_NAME, "--keys", keys)
        assert process.wait(30), log.read_text()
        assert process.status == 0, log.read_text()
    assert "12/12  Put into service by the centre: done" in log.read_text()

    status, said = field.setup("--answers", str(answers))
    assert status == 0
    assert said.count(": already so") == 12, said
    assert [*files.exposed(Look(field.root, live=False).files())] == []

    rig = field.rig
    rig.start_box()
    with contextlib.closing(rig.watch()) as watch:
        watch.until(lambda one: one.link is not None and one.link.up, "link")
        assert enter(rig, watch, rig.holder).state == "open"  # type: ignore[attr-defined]
        rig.operator.remove()
        watch.state("idle")
    rig.box.stop()

    status, said = field.setup("--retire")
    assert status == 0, said
    assert not any((field.root / "etc/sdbox").iterdir())
    assert not any((field.root / "var/lib/sdbox").iterdir())
    assert "suspended" in field.staff_reads("box", "list")


def test_a_box_that_can_not_tell_its_end_is_wiped_and_says_what_staff_must_do(
    field: Field,
) -> None:
    answers, anchor, _ = field.order()
    assert field.setup("--answers", str(answers), "--anchor", anchor)[0] == 1
    field.rig.centre.end_api()
    status, said = field.setup("--retire")
    assert status == 0, said
    assert "The centre could not be told" in said
    assert not any((field.root / "etc/sdbox").iterdir())
    status, said = field.setup("--retire")
    assert said.count(": already so") == 6, said


def _is_there_or_over(line: str, log: Path, process: Process) -> bool:
    return line in log.read_text() or process.wait(0)


class Ending:
    """A process, ended whatever happens."""

    def __init__(self, process: Process) -> None:
        self.close = process.end


def travelling(field: Field, token: str) -> None:
    """What lies on the disk of a box in the post: keys that open nothing, and no word of the token.

    With its very identity nobody is answered: the centre knows no such box yet.
    """
    ours = {
        str(path.relative_to(field.root)): path
        for top in ("etc/sdbox", "var/lib/sdbox")
        for path in (field.root / top).rglob("*")
        if path.is_file()
    }
    assert set(ours) == {
        "etc/sdbox/box.toml", "etc/sdbox/reported",
        *(f"etc/sdbox/anchors/{name}.pem" for name in ("boxes", "cards", "centre")),
        *(f"etc/sdbox/anchors/{name}.pem" for name in ("desk", "staff")),
        *(f"etc/sdbox/identity/{name}" for name in ("tls.key", "tls.pem")),
        *(f"etc/sdbox/identity/{name}" for name in ("statement.key", "statement.pem")),
        "var/lib/sdbox/state.json",
    }  # fmt: skip
    for path in field.root.rglob("*"):
        if path.is_file():
            assert token.encode() not in path.read_bytes()
    for name in ("tls.key", "statement.key"):
        status = ours[f"etc/sdbox/identity/{name}"].stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (CORE_UID, 0o600)
    assert hello(field) == "box-refused"


def hello(field: Field) -> str:
    """The code that a thief of the disk gets."""
    identity = field.root / "etc/sdbox/identity"
    script = f"""
import ssl, http.client
context = ssl.create_default_context(cafile={str(field.root / "etc/sdbox/anchors/centre.pem")!r})
context.load_cert_chain({str(identity / "tls.pem")!r}, {str(identity / "tls.key")!r})
body = '{{"box":"{BOX_NAME}","boot_id":"x","boot_counter":1,"agent_version":"1"}}'
link = http.client.HTTPSConnection({CENTRE4!r}, 443, context=context, timeout=5)
link.request("POST", "/v1/hello", body, {{"content-type": "application/json"}})
print(link.getresponse().read().decode())
"""
    log = field.desk / "hello.log"
    unit = Unit(argv=[sys.executable, "-c", script], network=field.rig.topology.box, output=log)
    process = Process(unit)
    with contextlib.closing(Ending(process)):
        assert process.wait(10)
    return re.findall(r'"code":"([a-z-]+)"', log.read_text())[0]
