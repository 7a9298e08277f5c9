"""Acts signed as staff do it: virtual cards in readers of a real pcscd, PINs typed on a line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.card.card import PivCard
from hil.issuing import PIN, Issuing
from hil.pcscd import SOCKET_VARIABLE, Pcscd
from hil.staff import Members
from sdbox_agent import errors
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.rig

REPOSITORY = Path(__file__).parents[2]
SETTINGS = """address = "127.0.0.1"
port = 0
certificate = "server.pem"
key = "server.key"
box_anchors = "staff/anchors.pem"
card_anchors = "staff/anchors.pem"
crls = ["staff/staff.crl"]
test_issuers = true
database = "centre.sqlite"
gateway_socket = "gateway.sock"
gateway_uid = 0

[staff]
roster = "staff/roster.toml"
anchors = "staff/anchors.pem"
crls = ["staff/staff.crl"]
"""
WHY = ("--motive", "test")


class Station:
    """Two readers and a centre's database; what is typed is run as a process of its own."""

    def __init__(self, root: Path, pcscd: Pcscd) -> None:
        self.root, self.pcscd = root, pcscd
        self.issuing = Issuing()
        (root / "staff").mkdir()
        self.members = Members(root / "staff", self.issuing)
        self.cards = [self._member(f"staff-1{n}") for n in range(2)]
        (root / "api.toml").write_text(SETTINGS)
        self.typed("init")

    def _member(self, name: str) -> PivCard:
        card, certificates = self.issuing.staff_card()
        self.members.add(name, certificates)
        return card

    def typed(self, *words: str, lines: str = "") -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, SOCKET_VARIABLE: str(self.pcscd.socket_path)}
        command = [sys.executable, "-m", "sdbox_centre", *words]
        return subprocess.run(
            [*command, "--config", str(self.root / "api.toml")],
            input=lines, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            cwd=REPOSITORY, env=environment,
        )  # fmt: skip

    def told(self, *words: str, lines: str = "") -> dict:
        done = self.typed(*words, "--json", lines=lines)
        assert done.returncode == 0, done.stderr
        assert PIN not in done.stdout + done.stderr
        return json.loads(done.stdout)

    def fails(self, code: str, *words: str, lines: str = "") -> None:
        done = self.typed(*words, lines=lines)
        assert done.returncode == 1, done.stdout + done.stderr
        assert errors.table()[code].sentence["en"] in done.stderr


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with Pcscd(tmp_path / "pcscd", readers=2) as pcscd:
        yield Station(tmp_path, pcscd)


def test_one_signs_with_card_and_pin_and_another_confirms(station: Station) -> None:
    pin = f"{PIN}\n"
    holder = ("holder", "add", "test-holder-01", *WHY)
    station.fails("card-absent", *holder, lines=pin)
    station.pcscd.reader(0).insert(station.cards[0])
    station.fails("pin-wrong", *holder, lines="999999\n")
    station.fails("pin-malformed", *holder, lines="12\n")
    assert station.told(*holder, lines=pin)["entered"]["subject"] == "holder/test-holder-01"
    station.told("project", "add", "p", "P", "card-match", *WHY, lines=pin)
    wider = ("project", "set", "p", "--levels", "card-match,host-match", *WHY)
    pending = station.told(*wider, lines=pin)["pending"]
    confirm = ("acts", "confirm", pending["id"][:12])
    station.fails("two-persons-needed", *confirm, lines=pin)
    second = station.pcscd.reader(1)
    second.insert(station.cards[1])
    station.fails("ambiguous-card", *confirm, lines=pin)
    done = station.told(*confirm, "--reader", second.reader_name, lines=pin)
    assert done["entered"]["levels"] == ["card-match", "host-match"]
    log = station.told("acts", "log")["act"]
    assert [line["by"] for line in log] == ["staff-10", "staff-10", "staff-10 staff-11"]


def test_a_holders_card_signs_nothing_for_staff(station: Station) -> None:
    card, _ = station.issuing.pin_card()
    station.pcscd.reader(0).insert(card)
    station.fails("staff-not-allowed", "holder", "add", "h", *WHY, lines=f"{PIN}\n")
    assert station.told("holder", "list") == {"holder": []}
