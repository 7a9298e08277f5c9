"""`sdbox-agent card` as an operator at a box meets it: real pcscd, virtual cards."""

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import errors
from sdbox_agent.daemon.published import Published
from sdbox_agent.paths import Paths
from sdbox_centre import authority

pytest.importorskip("hil.pcscd")

from hil.card.card import PivCard
from hil.card.faults import MuteAt
from hil.card.slot import Slot
from hil.issuing import Issuing
from hil.pcscd import Pcscd
from sdbox_agent.card import pcsc
from tests.waiting import until

pytestmark = pytest.mark.rig
ROOT = Path(__file__).parents[1]
ISSUING = Issuing()
CARD, CERTIFICATES = ISSUING.card()


@pytest.fixture
def slot() -> Iterator[Slot]:
    taken = Pcscd.shared().reader(7)
    try:
        yield taken
    finally:
        taken.remove()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As much of a box as `card` looks at."""
    paths = Paths(tmp_path)
    (paths.config / "anchors").mkdir(parents=True)
    paths.crls.parent.mkdir(parents=True)
    (paths.config / "box.toml").write_text(
        'v = 1\nbox = "box-01"\nprofile = "virtual"\nlanguage = "en"\n'
        '[centre]\nhost = "centre.test"\nport = 443\n'
    )
    anchor = authority.pem_of(ISSUING.cards.certificate)
    (paths.config / "anchors/cards.pem").write_bytes(anchor)
    return tmp_path


def publish(root: Path, crl_der: bytes) -> None:
    Published(Paths(root).crls).put(bytes(32), crl_der)


def card(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sdbox_agent", "--root", str(root), "card", *words]
    environment = {**os.environ, **Pcscd.shared().environment}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def insert(slot: Slot, one: PivCard, faults: tuple = ()) -> None:
    """And wait until PC/SC has seen it."""
    slot.insert(one, list(faults))
    until(lambda: is_in(slot))


def is_in(slot: Slot) -> bool:
    return any(look.present for look, _ in pcsc.look_now() if look.reader == slot.reader_name)


def test_readers_are_listed_with_and_without_a_card(root: Path, slot: Slot) -> None:
    insert(slot, CARD)
    listed = json.loads(card(root, "list", "--json").stdout)["readers"]
    (mine,) = (one for one in listed if one["reader"] == slot.reader_name)
    assert mine["present"]
    assert mine["atr"].startswith("3b")
    assert slot.reader_name in card(root, "list").stdout


def test_a_good_card_is_shown_and_believed(root: Path, slot: Slot) -> None:
    insert(slot, CARD)
    publish(root, ISSUING.crl())
    shown = json.loads(card(root, "show", "--json", "--reader", slot.reader_name).stdout)["card"]
    assert shown["kind"] == "piv-free"
    assert {one["key"] for one in shown["certificates"]} == {"9A", "9D", "9E"}
    assert shown["certificates"][0]["subject"] == "Test holder"
    said = card(root, "check", "--reader", slot.reader_name)
    assert said.returncode == 0, said.stderr
    assert "The box believes this card." in said.stdout
    assert said.stdout.count("\n+ ") == 9
    french = card(root, "check", "--language", "fr", "--reader", slot.reader_name)
    assert "La box croit cette carte." in french.stdout


def test_why_a_card_is_not_believed_is_said_step_by_step(root: Path, slot: Slot) -> None:
    insert(slot, CARD)
    said = card(root, "check", "--json", "--reader", slot.reader_name)
    verdict = json.loads(said.stdout)["verdict"]
    assert said.returncode == 1
    assert not verdict["believed"]
    steps = {one["step"]: one for one in verdict["steps"]}
    assert steps["path"]["result"] == "passed"
    assert steps["revocation"]["code"] == "crl-stale"
    assert steps["binding"]["result"] == "not-reached"
    # the same card, once a list names it: Issuing of its own, as a revocation is for good
    issuing = Issuing()
    anchor = authority.pem_of(issuing.cards.certificate)
    (Paths(root).config / "anchors/cards.pem").write_bytes(anchor)
    other, certificates = issuing.card()
    issuing.revoke(certificates.auth)
    publish(root, issuing.crl())
    slot.remove()
    insert(slot, other)
    said = card(root, "check", "--reader", slot.reader_name)
    assert said.returncode == 1
    assert errors.render("card-revoked", "en") in said.stdout


def test_no_try_is_spent_and_none_is_needed(root: Path, slot: Slot) -> None:
    one, _ = ISSUING.card(pin_policy="once")
    insert(slot, one)
    left = [
        json.loads(card(root, "show", "--json", "--reader", slot.reader_name).stdout)["card"][
            "pin_left"
        ]
        for _ in range(5)
    ]
    assert len(set(left)) == 1
    assert left[0] > 0


def test_a_card_that_a_session_holds_is_left_to_it(root: Path, slot: Slot) -> None:
    insert(slot, CARD)
    (look,) = (look for look, _ in pcsc.look_now() if look.reader == slot.reader_name)
    with contextlib.closing(pcsc.Connection(slot.reader_name, look.events)):
        for act in ("show", "check"):
            said = card(root, act, "--json", "--reader", slot.reader_name)
            assert said.returncode == 1
            assert json.loads(said.stdout) == {"error": "card-in-use"}


def test_what_is_not_there_or_does_not_answer_is_said(root: Path, slot: Slot) -> None:
    until(lambda: not is_in(slot))  # the last test's card
    for name, code in ((slot.reader_name, "card-absent"), ("no such", "reader-missing")):
        said = card(root, "show", "--json", "--reader", name)
        assert (said.returncode, json.loads(said.stdout)) == (1, {"error": code})
    insert(slot, CARD, (MuteAt(2),))
    said = card(root, "show", "--json", "--reader", slot.reader_name)
    assert json.loads(said.stdout) == {"error": "card-mute"}


def test_lists_that_are_none_of_this_box_s_authority_s_are_left_out(root: Path, slot: Slot) -> None:
    insert(slot, CARD)
    moment = dt.datetime.now(dt.UTC)
    publish(root, authority.authority("Test card authority", moment).crl(9, moment))
    Published(Paths(root).crls).put(b"\1" * 32, b"nonsense")
    said = card(root, "check", "--json", "--reader", slot.reader_name)
    assert json.loads(said.stdout)["verdict"]["lists"] == []
