"""`box answers`, as typed: the file a machine becomes a box by, and its signature."""

import hashlib
import io
import stat
import sys
from pathlib import Path

import pytest

from sdbox_agent.provision.setup import answers as reading
from sdbox_agent.provision.setup import signature
from sdbox_centre.authority import pem_of
from tests.sdbox_centre.staff.test_commands import ORDER, RENTAL, WHY, Desk, desk

__all__ = ["desk"]
BOX = "test-box-09"
TEMPLATE = """
profile = "virtual"
[centre]
host = "192.0.2.1"
[lan]
uplinks = ["eth0"]
"""


class Order:
    """One, its token on standard input, and the files that `box answers` reads and writes."""

    def __init__(self, desk_: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk, self.monkeypatch = desk_, monkeypatch
        world = desk_.world
        self.root = world.root
        config = Path(desk_.api)
        said = config.read_text().replace("\n[staff]", '\ndesk_anchors = "anchors.pem"\n[staff]')
        config.write_text(said)
        boxes, centre = self.root / "boxes-authority.pem", self.root / "centre.pem"
        boxes.write_bytes(pem_of(world.boxes.certificate))
        centre.write_bytes(pem_of(world.servers.certificate))
        (self.root / "template.toml").write_text(TEMPLATE)
        self.token = desk_.run("box", "order", BOX, *ORDER, *RENTAL, *WHY).strip()
        self.out = self.root / "box.toml"
        self.words = (
            "box", "answers", BOX, str(self.root / "template.toml"), str(self.out),
            "--centre-anchors", str(centre), *WHY,
        )  # fmt: skip

    def typed(self, token: str | None = None) -> None:
        self.monkeypatch.setattr(sys, "stdin", io.StringIO((token or self.token) + "\n"))


@pytest.fixture
def order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Order:
    return Order(desk, monkeypatch)


def test_a_machine_believes_what_is_written_and_may_use_it(order: Order) -> None:
    order.typed()
    *_, told = order.desk.run(*order.words).splitlines()
    anchor = bytes.fromhex(told.removeprefix("anchor "))
    raw, detached = order.out.read_bytes(), Path(f"{order.out}.sig").read_bytes()
    now = order.desk.world.now
    signed = signature.verify(raw, detached, anchor, now, rig=True)
    answers = reading.parse(raw)
    assert (answers.box, answers.token, answers.until_s) == (BOX, order.token, signed.said.until_s)
    assert answers.hosting is not None
    assert (answers.hosting.voucher, answers.hosting.place) == ("V-1", "Room 1")
    assert answers.anchors.boxes == (order.desk.world.boxes.certificate_der,)
    for path in (order.out, Path(f"{order.out}.sig")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    acts = order.desk.told("acts", "log")["act"]
    assert acts[-1]["answers_sha256"] == hashlib.sha256(raw).hexdigest()
    assert order.token not in str(acts)


def test_answers_may_be_written_again_and_over_nothing(order: Order) -> None:
    order.typed()
    order.desk.run(*order.words)
    assert reading.parse(order.out.read_bytes()).serial == 1
    order.typed()
    with pytest.raises(SystemExit, match="2"):
        order.desk.run(*order.words)
    order.out.unlink()
    Path(f"{order.out}.sig").unlink()
    order.typed()
    told = order.desk.run(*order.words, "--json").splitlines()
    assert '"anchor"' in told[-1]
    act = order.desk.told("acts", "log")["act"][-1]
    assert reading.parse(order.out.read_bytes()).serial == act["n"] > 1


def test_another_token_or_no_order_makes_no_answers(order: Order) -> None:
    order.typed("A" * 43)
    order.desk.fails("box-token-wrong", *order.words)
    order.desk.run("box", "withdraw", BOX, *WHY)
    order.typed()
    order.desk.fails("not-found", *order.words)
    assert not order.out.exists()


def test_a_token_may_come_from_a_file(order: Order) -> None:
    file = order.root / "token"
    file.write_text(order.token)
    order.desk.run(*order.words, "--token-file", str(file))
    assert order.out.exists()


@pytest.mark.parametrize(
    "template", ["v = 1\n" + TEMPLATE, TEMPLATE.replace("192.0.2.1", "a.test"), "profile = 1\n"]
)
def test_a_template_that_makes_no_box_is_told(order: Order, template: str) -> None:
    (order.root / "template.toml").write_text(template)
    order.typed()
    with pytest.raises(SystemExit, match="2"):
        order.desk.run(*order.words)
    assert not order.out.exists()


def test_a_second_signature_is_none_that_a_box_takes(order: Order) -> None:
    order.typed()
    with pytest.raises(SystemExit, match="2"):
        order.desk.run(*order.words, "--with-second", by=(1, 2))


def test_a_centre_without_a_desk_s_authority_can_not_write_any(order: Order) -> None:
    config = Path(order.desk.api)
    config.write_text(config.read_text().replace('desk_anchors = "anchors.pem"\n', ""))
    order.typed()
    order.desk.fails("config-invalid", *order.words)
