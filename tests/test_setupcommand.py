"""`sdbox-agent setup`, as an operator types it: steps over a real directory, and refusals."""

import argparse
import datetime as dt
import io
import json
import os
import sys
from functools import partial
from pathlib import Path

import msgspec
import pytest

from sdbox_agent import setupcommand
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.paths import Paths
from sdbox_agent.provision.setup import answers as answering
from sdbox_agent.provision.setup.places import Places
from sdbox_agent.provision.setup.settling import Believed, Chosen
from sdbox_agent.state.trusted import FileRefused
from tests.identity.test_surroundings import HEAD, NEIGHBOURS, neighbour, route
from tests.provision.doctor.trees import TEXTS, write
from tests.provision.setup.people import ANCHOR, Member, answers
from tests.provision.setup.test_machine import SHIPPED, installed

ME = Places(os.getuid(), os.getuid())


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A machine's root, and answers beside it; the file's path."""
    root = tmp_path / "root"
    for name, text in TEXTS.items():
        write(root / name, text.encode())
    installed(root)
    path = tmp_path / "box.toml"
    raw = answering.encode(answers())
    path.write_bytes(raw)
    (tmp_path / "box.toml.sig").write_bytes(Member().sign(raw))
    return path


def options(answers_: Path | None, **changed: object) -> argparse.Namespace:
    root = answers_.parent / "root" if answers_ else Path("/nonexistent")
    said = {
        "root": root, "answers": answers_, "retire": answers_ is None, "anchor": ANCHOR.hex(),
        "dry_run": False, "wait": 0, "profiles": SHIPPED, "language": "en", "json": False,
    }  # fmt: skip
    return argparse.Namespace(**{**said, **changed})


def run(monkeypatch: pytest.MonkeyPatch, said: argparse.Namespace) -> tuple[int, list[str]]:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(setupcommand, "Places", lambda: ME)
    out: list[str] = []
    return setupcommand.act(said, out.append), out


def test_a_dry_run_says_every_step_and_touches_nothing(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(given.parent.rglob("*"))
    code, out = run(monkeypatch, options(given, dry_run=True))
    assert (code, len(out)) == (0, 12)
    assert "to be done" in out[0]
    assert sorted(given.parent.rglob("*")) == before


def test_it_goes_as_far_as_it_can_without_the_centre(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = run(monkeypatch, options(given, json=True))
    *_, last = map(json.loads, out)
    assert (code, last["step"], last["code"]) == (1, "certificates", "centre-unreachable")
    code, again = run(monkeypatch, options(given, json=True, anchor=None))
    assert [json.loads(line)["result"] for line in again] == ["already-so"] * 6 + ["failed"]


def test_what_was_made_is_unmade_though_nobody_can_be_told(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, options(given))
    code, out = run(monkeypatch, options(given, answers=None, retire=True))
    assert code == 0
    assert "could not be told" in out[-1]
    root = given.parent / "root"
    assert not any((root / "etc/sdbox").iterdir())


def test_only_root_makes_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Fault, match="needs-root"):
        setupcommand.act(options(None), print)


def test_answers_that_are_wrong_are_told_by_file_and_line(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given.write_bytes(given.read_bytes().replace(b"v = 1", b"v = 2"))
    with pytest.raises(FileRefused) as caught:
        run(monkeypatch, options(given))
    assert (caught.value.code, caught.value.line) == ("answers-invalid", 1)
    with pytest.raises(FileRefused, match="answers-invalid"):
        run(monkeypatch, options(given.with_name("nowhere.toml")))
    given.with_name("box.toml.sig").unlink()
    given.write_bytes(answering.encode(answers()))
    with pytest.raises(FileRefused, match="answers-invalid"):
        run(monkeypatch, options(given))


@pytest.mark.parametrize(
    ("typed", "code"),
    [(f"{ANCHOR.hex()}\n", None), ("\n", "anchor-wanted"), ("12\n", "anchor-malformed")],
    ids=["whole", "none", "cut"],  # the anchor is another at each start
)
def test_the_anchor_is_asked_for_once(
    given: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: str | None
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    try:
        _, out = run(monkeypatch, options(given, anchor=None, dry_run=True, json=True))
        found = json.loads(out[0]).get("code")
    except SdboxError as error:
        found = error.code
    assert found == code


def test_bytes_that_are_no_text_are_no_anchor(given: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), "utf-8"))
    with pytest.raises(SdboxError, match="anchor-malformed"):
        run(monkeypatch, options(given, anchor=None))


@pytest.mark.parametrize(
    ("name", "retire"), [("anchors/staff.pem", False), ("box.toml", False), ("box.toml", True)]
)
def test_a_link_in_a_file_s_place_is_told_by_name(
    given: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, retire: bool
) -> None:
    there = given.parent / "root/etc/sdbox" / name
    there.parent.mkdir(parents=True, exist_ok=True)
    there.unlink(missing_ok=True)
    there.symlink_to("/etc/passwd")
    try:
        _, out = run(monkeypatch, options(given, retire=retire, json=True))
        told = json.loads(out[-1])
        code, detail = told["code"], told["detail"]
    except FileRefused as error:
        code, detail = error.code, error.diagnosis
    assert code == "file-exposed"
    assert detail.startswith(f"/etc/sdbox/{name}: ")


def test_a_terminal_is_prompted(given: Path, monkeypatch, capsys) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(ANCHOR.hex()))
    run(monkeypatch, options(given, anchor=None, dry_run=True))
    assert "64 digits" in capsys.readouterr().err


def test_a_clock_of_before_there_were_boxes_is_told(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setupcommand, "_now", lambda: dt.datetime(1970, 1, 2, tzinfo=dt.UTC))
    with pytest.raises(Fault, match="clock-unset"):
        run(monkeypatch, options(given))


def test_what_is_waited_for_is_told_to_people_alone(given: Path) -> None:
    for as_json, told in ((False, 1), (True, 0)):
        out: list[str] = []
        setupcommand._teller(options(given, json=as_json), out.append)("activation-awaited")
        assert len(out) == told


def test_the_report_says_keys_and_profile(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, options(given))
    root = given.parent / "root"
    steps = setupcommand.setup(root, ME, options(given), print)
    assert isinstance(steps[0], Believed)
    report = steps[7].made()  # type: ignore[attr-defined]
    assert (report.box, report.profile) == ("box-07", "virtual")


def test_the_first_record_knows_the_machine_and_what_stands_around_it(
    given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, options(given))
    root = given.parent / "root"
    write(root / "proc/self/net/route", (HEAD + route()).encode())
    write(root / "proc/self/net/arp", (NEIGHBOURS + neighbour()).encode())
    write(root / "etc/machine-id", b"0" * 32 + b"\n")
    chosen = setupcommand.setup(root, ME, options(given), print)[3]
    assert isinstance(chosen, Chosen)
    around = partial(setupcommand._around, Paths(root), SHIPPED, chosen)
    counter, known = setupcommand._first(root, None, around)
    assert counter is None
    assert {"machine-id", "gateway"} <= known.facts.keys()
    assert known.placed_s is msgspec.UNSET, "that, the centre says"
