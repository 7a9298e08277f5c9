"""What the gateway knows by itself, from acts alone; and the double that stands in for it."""

from pathlib import Path

import msgspec
import pytest

from sdbox_agent.errors import Fault, Refused
from sdbox_agent.terms import Level
from sdbox_centre.book import Book
from sdbox_centre.staff.kept import KeptActs
from sdbox_centre.window import Planned
from tests.sdbox_centre import world as w
from tests.sdbox_centre.staff import members as m
from tests.sdbox_centre.world import World

GOOD = """endpoint = "192.0.2.1:51820"
pools = ["10.77.0.0/24"]
interface = "vm1"
"""
PROJECT, BOX = "test-project-01", "test-box-01"
YEAR_S = 365 * 86400
DATES = {"contract_from_s": m.NOW_S, "contract_until_s": m.NOW_S + YEAR_S}
PLACED = {"placed_s": m.NOW_S, "rental_from_s": m.NOW_S, "rental_until_s": m.NOW_S + YEAR_S}


class Bench:
    """A book over acts, with one card that may enter one project."""

    def __init__(self, root: Path) -> None:
        self.staff, self.now_s = m.Members(root), m.NOW_S
        self.acts = KeptActs(root / "acts", self.staff.source(), lambda: self.now_s)
        self.projects = root / "projects"
        self.projects.mkdir()
        (self.projects / f"{PROJECT}.toml").write_text(GOOD)
        self.book = Book(self.acts, self.projects)
        for act in (
            m.holder(), m.card(), m.enrolment(not_after_s=m.NOW_S + 4 * YEAR_S),
            m.project(**DATES), m.grant(undertaking_s=1), m.box(state="active", **PLACED),
        ):  # fmt: skip
            self.book.keep(self.staff.signed(act))

    def change(self, subject: str, **said: object) -> None:
        """The next act on it, signed by as many as it needs."""
        before = self.acts.newest()(subject)
        act = msgspec.structs.replace(before, n=before.n + 1, **said)
        self.book.keep(self.staff.signed(act, 1, 2))

    def refused(self, code: str, level: Level = Level.HOST_MATCH) -> None:
        with pytest.raises(Refused, match=f"^{code}$"):
            self.book.project(PROJECT).admit(m.DIGEST, level)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=["acts", "lists"])
def book(request: pytest.FixtureRequest, tmp_path: Path, world: World) -> tuple[object, bytes]:
    """The real one, or its double; and a card that may enter PROJECT by a finger."""
    if request.param == "acts":
        return Bench(tmp_path).book, m.DIGEST
    return w.Book(world.root / "boxes", world.root / "projects"), world.card.name


def test_the_window_is_the_newest_that_two_signed(bench: Bench) -> None:
    assert bench.book.window() is None
    bench.book.keep(bench.staff.signed(m.window(), 1, 2))
    assert bench.book.window() == Planned(m.NOW_S, m.NOW_S + 600)
    bench.change("window", from_s=m.NOW_S + 60)
    assert bench.book.window() == Planned(m.NOW_S + 60, m.NOW_S + 600)


def test_its_stamp_changes_with_acts_and_with_files_and_with_nothing_else(bench: Bench) -> None:
    before = bench.book.stamp()
    assert bench.book.stamp() == before
    bench.change(f"box/{BOX}", state="suspended")
    after = bench.book.stamp()
    assert after != before
    (bench.projects / "test-project-02.toml").write_text(GOOD)
    assert bench.book.stamp() != after


def test_both_books_keep_the_contract(book: tuple[Book, bytes]) -> None:
    one, card = book
    project = one.project(PROJECT)
    assert (project.name, project.vm, project.port) == (PROJECT, "10.77.0.1", 51820)
    project.admit(card, Level.HOST_MATCH)
    for other, level, code in (
        (bytes(32), Level.HOST_MATCH, "project-not-granted"),
        (card, Level.CARD_MATCH, "level-not-accepted"),
        (card, Level.CARD_PIN, "level-not-accepted"),
    ):
        with pytest.raises(Refused, match=code):
            project.admit(other, level)
    assert one.box(BOX)
    for name in ("", ".", "..", "../projects/x", "a/b", "a\n", "test-project-02"):
        with pytest.raises(Refused, match="project-not-granted"):
            one.project(name)
        with pytest.raises(Refused, match="box-refused"):
            one.box(name)


@pytest.mark.parametrize(
    ("subject", "said", "code"),
    [
        (f"project/{PROJECT}", {"state": "suspended"}, "project-not-granted"),
        (f"project/{PROJECT}", {"state": "pending"}, "project-not-granted"),
        (f"project/{PROJECT}", {"contract_from_s": None}, "project-not-granted"),
        (f"project/{PROJECT}", {"contract_until_s": m.NOW_S}, "project-not-granted"),
        (f"project/{PROJECT}", {"legal_until_s": m.NOW_S}, "project-not-granted"),
        (f"project/{PROJECT}", {"levels": (Level.CARD_MATCH,)}, "level-not-accepted"),
        (f"card/{m.DIGEST.hex()}", {"revoked": True}, "project-not-granted"),
        (f"grant/test-holder-01/{PROJECT}", {"withdrawn": True}, "project-not-granted"),
        (f"grant/test-holder-01/{PROJECT}", {"undertaking_s": None}, "project-not-granted"),
        (f"grant/test-holder-01/{PROJECT}", {"not_after_s": m.NOW_S}, "project-not-granted"),
        ("enrolment/test-holder-01", {"not_before_s": m.NOW_S + 1}, "project-not-granted"),
        (
            "enrolment/test-holder-01",
            {"card": bytes(32), "enrolment": "e2"},  # another card by now
            "project-not-granted",
        ),
        (
            "enrolment/test-holder-01",
            {"card": bytes(32), "finger": False, "not_after_s": m.NOW_S + 9},
            "project-not-granted",
        ),
    ],
)
def test_what_staff_take_away_is_gone_at_the_next_question(
    bench: Bench, subject: str, said: dict[str, object], code: str
) -> None:
    bench.book.project(PROJECT).admit(m.DIGEST, Level.HOST_MATCH)
    bench.change(subject, **said)
    bench.refused(code)


def test_dates_pass_here_too(bench: Bench) -> None:
    bench.now_s = m.NOW_S + YEAR_S
    bench.refused("project-not-granted")
    with pytest.raises(Refused, match="box-refused"):
        bench.book.box(BOX)
    bench.change(f"project/{PROJECT}", contract_until_s=m.NOW_S + 9 * YEAR_S, utc_s=bench.now_s)
    bench.book.project(PROJECT).admit(m.DIGEST, Level.HOST_MATCH)
    bench.now_s = m.NOW_S + 4 * YEAR_S
    bench.refused("project-not-granted")


def test_who_has_no_finger_comes_in_by_pin_and_by_nothing_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    levels = (Level.CARD_PIN, Level.HOST_MATCH)
    bench.change(f"project/{PROJECT}", levels=levels)
    other = m.holder(holder="test-holder-02")
    card = m.card(card=b"o" * 32, holder="test-holder-02")
    grant = m.grant(holder="test-holder-02", undertaking_s=1)
    without = m.enrolment(holder="test-holder-02", card=b"o" * 32, enrolment="e2", finger=False)
    for act, signers in ((other, (1,)), (card, (1,)), (grant, (1,)), (without, (1, 2))):
        bench.book.keep(bench.staff.signed(act, *signers))
    bench.book.project(PROJECT).admit(b"o" * 32, Level.CARD_PIN)
    with pytest.raises(Refused, match="level-not-accepted"):
        bench.book.project(PROJECT).admit(b"o" * 32, Level.HOST_MATCH)
    bench.refused("level-not-accepted", Level.CARD_PIN)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"state": "suspended"}, "box-suspended"),
        ({"state": "ordered"}, "box-refused"),
        ({"state": "retired"}, "box-refused"),
        ({"placed_s": None}, "box-refused"),
        ({"rental_until_s": m.NOW_S}, "box-refused"),
        ({"rental_from_s": None}, "box-refused"),
    ],
)
def test_a_box_is_active_placed_and_rented(
    bench: Bench, said: dict[str, object], code: str
) -> None:
    assert bench.book.box(BOX) == b"der"
    bench.change(f"box/{BOX}", **said)
    with pytest.raises(Refused, match=f"^{code}$"):
        bench.book.box(BOX)


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "extra = 1\n",
        GOOD + 'cards = ["' + "0" * 64 + '"]\n',  # of an earlier version: acts say who enters
        GOOD.replace("10.77.0.0/24", "10.77.0.1/24"),
        GOOD.replace("10.77.0.0/24", "10.77.0.0/31"),
        GOOD.replace("vm1", "vm1; reboot"),
        GOOD.replace("vm1", "interface-too-long"),
        "endpoint = [",
        "\x00",
    ],
)
def test_a_project_file_is_right_or_not_read(bench: Bench, text: str) -> None:
    (bench.projects / f"{PROJECT}.toml").write_text(text)
    with pytest.raises(Fault, match="config-invalid"):
        bench.book.project(PROJECT)


def test_a_project_without_a_file_is_not_served(bench: Bench) -> None:
    assert bench.book.projects() == (PROJECT,)
    (bench.projects / f"{PROJECT}.toml").unlink()
    bench.refused("project-not-granted")


@pytest.mark.parametrize("endpoint", ["192.0.2.3", "gateway.test:443", "127.0.0.1:443"])
def test_a_carriers_end_is_an_address_a_box_can_reach(world: World, endpoint: str) -> None:
    files = (world.root / "boxes", world.root / "projects")
    assert w.Book(*files, (w.CARRIER, world.root / "carrier.pem")).carrier() is not None
    for carrier in ((endpoint, world.root / "carrier.pem"), (w.CARRIER, world.root / "none.pem")):
        with pytest.raises(Fault, match="config-invalid"):
            w.Book(*files, carrier).carrier()
