"""Staff's commands over real files, as they type them; their cards are in memory."""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sdbox_agent import errors
from sdbox_agent.centre import wire
from sdbox_agent.pki import boxcertificate
from sdbox_centre import authority, cli, est, linkrows, places, processes, tables
from sdbox_centre.book import ApiSettings
from sdbox_centre.staff.acts import Acts
from sdbox_centre.staff.commands import utc, words
from sdbox_centre.staff.signer import KeySigner
from sdbox_centre.store import Store
from sdbox_centre.tomlfile import load
from tests.pki.boxed import Key
from tests.sdbox_centre import world as w
from tests.sdbox_centre.ordering import Ordered, est_of
from tests.sdbox_centre.settled import pem, settings
from tests.sdbox_centre.world import World

WHY = ("--motive", "test")


class Desk:
    """A reader in which one card after the other lies; what was said is kept."""

    def __init__(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        self.world, self.capsys = world, capsys
        self.api, self.gateway = settings(world)
        self.cards: list[int] = []
        cli.main(["init", "--config", self.api])

    @contextlib.contextmanager
    def card_at(self, _reader: str | None) -> Iterator[KeySigner]:
        yield self.world.members.members[self.cards.pop(0) - 1].signer

    def run(self, *typed: str, by: tuple[int, ...] = (1,)) -> str:
        """Both words of the verb first. What it printed."""
        self.cards = list(by)
        self.capsys.readouterr()
        cli.main([*typed[:2], "--config", self.api, *typed[2:]], self.card_at)
        return self.capsys.readouterr().out

    def told(self, *typed: str, by: tuple[int, ...] = (1,)) -> dict:
        return json.loads(self.run(*typed, "--json", by=by))

    def fails(self, code: str, *typed: str, by: tuple[int, ...] = (1,)) -> None:
        with pytest.raises(SystemExit, match="1"):
            self.run(*typed, by=by)
        assert errors.table()[code].sentence["en"] in self.capsys.readouterr().err

    def both(self, *typed: str) -> dict:
        """One signs, then another, at a station of his own."""
        pending = self.told(*typed, *WHY)["pending"]
        return self.told("acts", "confirm", pending["id"][:12], by=(2,))


@pytest.fixture
def desk(world: World, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(world, capsys)


def enter_a_card(desk: Desk, number: int = 1) -> tuple[str, w.Card]:
    """A holder with a card; the file of its 9A."""
    card = w.make_card(desk.world.cards, number, desk.world.now)
    three = card.certificates
    auth = pem(desk.world, f"9a-{number}", three.auth)
    keys = pem(desk.world, "9d", three.key_management)
    desk.run("holder", "add", f"test-holder-{number:02}", *WHY)
    cardauth = pem(desk.world, "9e", three.card_auth)
    desk.run("card", "add", f"test-holder-{number:02}", auth, keys, cardauth, *WHY)
    return auth, card


ORDER = ("--host", "Test host", "--place", "Room 1", "--voucher", "V-1", "--country", "FR")
RENTAL = ("--rental-from", "2020-01-01", "--rental-until", "2035-01-01")


def shown_keys(box: Ordered) -> str:
    infos = (box.keys[purpose].public_key_der for purpose in ("tls", "statement"))
    return boxcertificate.shown(*infos)


def test_a_box_is_ordered_asks_and_is_put_into_service(desk: Desk) -> None:
    world = desk.world
    told = desk.told("box", "order", "test-box-09", *ORDER, *RENTAL, *WHY)
    assert told["shown"] not in json.dumps(told["entered"])
    with contextlib.closing(Store(world.root / "cli.db")) as store:
        centre = dataclasses.replace(world.centre, store=store)
        box = Ordered.__new__(Ordered)
        box.world, box.name, box.token = world, "test-box-09", told["shown"]
        box.keys = {purpose: Key(authority.new_key()) for purpose in boxcertificate.KINDS}
        there = dataclasses.replace(est_of(world), newest=Acts(
            world.members.source(), world.clock.utc_s).newest)  # fmt: skip
        est.enroll(centre, there, box.read("tls"))
        activate = ("box", "activate", "test-box-09", "--keys")
        desk.fails("not-found", *activate, shown_keys(box), *WHY)  # half of it is not here yet
        est.enroll(centre, there, box.read("statement"))
    desk.fails("box-keys-differ", *activate, "AAAAA-AAAAA-AAAAA-AAAAA", *WHY)
    desk.run(*activate, shown_keys(box).lower(), *WHY)
    (row,) = desk.told("box", "list")["box"]
    assert (row["state"], row["voucher"], row["place"]) == ("active", "V-1", "Room 1")
    assert row["tls_sha256"] == hashlib.sha256(box.keys["tls"].public_key_der).hexdigest()
    desk.run("box", "withdraw", "test-box-09", *WHY)
    desk.fails("not-found", *activate, shown_keys(box), *WHY)
    assert desk.run("box", "order", "test-box-09", *WHY) != told["shown"]  # what it said still is


def test_an_order_says_whose_where_and_by_what(desk: Desk) -> None:
    for at in range(0, len(ORDER), 2):
        less = ORDER[:at] + ORDER[at + 2 :]
        desk.fails("act-impossible", "box", "order", "test-box-09", *less, *RENTAL, *WHY)
    desk.fails("act-impossible", "box", "order", "b", *ORDER, *RENTAL, "--days", "91", *WHY)
    desk.fails("not-found", "box", "activate", "test-box-09", "--keys", "A", *WHY)
    desk.fails("not-found", "box", "withdraw", "test-box-09", *WHY)


def test_staff_set_a_centre_up_and_take_it_apart(desk: Desk) -> None:
    world = desk.world
    auth, card = enter_a_card(desk)
    tls, statement = pem(world, "tls", world.box.tls_der), pem(world, "st", world.box.statement_der)
    sealed = world.root / "sealed.der"
    sealed.write_bytes(w.SEALED)
    whose, dates = ("test-holder-01", auth, "test-enrolment-01"), ("2020-01-01", "2035-01-01")
    desk.run("enrolment", "add", *whose, str(sealed), *dates, *WHY)
    rental = ("--rental-from", "2020-01-01", "--rental-until", "2035-01-01")
    desk.run("box", "add", "test-box-01", tls, statement, "--country", "FR", *rental, *WHY)
    desk.run("box", "place", "test-box-01", "--place", "Room 1", *WHY)
    contract = ("--contract-from", "2020-01-01", "--contract-until", "2035-01-01")
    project = ("test-project-01", "Test project", "host-match", "--countries", "FR")
    desk.run("project", "add", *project, *contract, *WHY)
    desk.run("project", "open", "test-project-01", *WHY)
    member = ("test-holder-01", "test-project-01")
    desk.run("grant", "add", *member, "--undertaking", "2020-01-02", *WHY)
    for kind in ("holder", "card", "enrolment", "box", "project", "grant"):
        (row,) = desk.told(kind, "list")[kind]
        assert row["signed"] is True
    assert desk.told("box", "list")["box"][0]["place"] == "Room 1"
    assert "2020-01-02 00:00" in desk.run("grant", "list")
    desk.run("box", "suspend", "test-box-01", *WHY)
    desk.run("box", "resume", "test-box-01", *WHY)
    desk.run("box", "retire", "test-box-01", *WHY)
    desk.fails("act-final", "box", "resume", "test-box-01", *WHY)
    desk.run("project", "suspend", "test-project-01", "--reason", "audit", *WHY)
    desk.run("project", "close", "test-project-01", *WHY)
    assert desk.told("project", "list")["project"][0]["reason"] is None
    desk.run("grant", "withdraw", *member, *WHY)
    assert desk.told("grant", "list") == {"grant": []}
    desk.run("card", "revoke", card.name.hex(), *WHY)
    desk.fails("act-impossible", "card", "revoke", auth, *WHY)
    assert desk.told("session", "list") == {"session": []}
    desk.fails("not-found", "session", "end", "test-box-01/b-1", *WHY)
    log = desk.told("acts", "log")["act"]
    assert len(log) == 15
    assert {line["by"] for line in log} == {"test-staff-01"}
    assert [line["seq"] for line in log] == sorted(line["seq"] for line in log)
    assert "test-staff-01" in desk.run("acts", "log")


def test_two_enrol_a_person_without_a_finger_and_the_second_sees_the_code(desk: Desk) -> None:
    api = desk.world.root / "api.toml"
    auth, _ = enter_a_card(desk, 2)
    asked = ("no-finger", "add", "test-holder-02", auth, "e2", str(desk.world.clock.utc + 86400))
    waiting = desk.run(*asked, *WHY)
    assert "acts confirm" in waiting
    (pending,) = desk.told("acts", "pending")["pending"]
    assert (pending["by"], pending["kind"]) == ("test-staff-01", "enrolment")
    assert pending["id"] in desk.run("acts", "pending")
    desk.fails("two-persons-needed", "acts", "confirm", pending["id"], by=(1,))
    desk.fails("not-found", "acts", "confirm", "ffff", by=(2,))
    desk.run("acts", "confirm", pending["id"][:8], by=(2,))
    api.write_text('otp_key = "otp.key"\n' + api.read_text())
    cli.main(["make-otp-key", "--config", desk.api])
    shown = desk.both("no-finger", "device", "e2")["shown"]
    assert shown.startswith("otpauth://totp/SD-Box:e2?")


def test_two_at_one_station(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    auth, _ = enter_a_card(desk)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        made = desk.told("unlock", "card", auth, "--with-second", *WHY, by=(1, 2))
    assert made["entered"]["kind"] == "unlock"
    assert desk.both("unlock", "card", auth)["entered"]["n"] == 2
    now_s = str(desk.world.clock.utc)
    assert desk.both("window", "plan", now_s, "10")["entered"]["until_s"] == int(now_s) + 600
    desk.fails("act-impossible", "window", "plan", now_s, "11", *WHY)


def test_how_each_box_is_and_when_it_was_heard(desk: Desk) -> None:
    world = desk.world
    tls, statement = pem(world, "tls", world.box.tls_der), pem(world, "st", world.box.statement_der)
    desk.run("box", "add", "test-box-01", tls, statement, *WHY)
    never = {"name": "test-box-01", "state": "ordered", "heard_s": None}
    assert desk.told("box", "health") == {"health": [never]}
    copyable = ("identity-copyable",)
    said = wire.encode(world.box.health(1, readers=2, sensor=False, standing=copyable))
    with contextlib.closing(Store(world.root / "cli.db")) as store:
        for body in (said, b"of another version"):
            with store.begin() as tx:
                linkrows.tell(tx, "test-box-01", wire.NewCrls(), 1)
                linkrows.health(tx, "test-box-01", body, 1767312000)
            lines = desk.run("box", "health").splitlines()
            first = ["test-box-01", "ordered", "2026-01-02", "00:00"]
            rest = ["idle", "NO", "2", "NO", "3", "0.1.0", *copyable]
            rest = rest if body == said else ["-"] * 7
            assert lines[1].split() == first + rest


def test_a_box_that_was_moved_and_the_derogation_for_it(desk: Desk) -> None:
    world, day_s = desk.world, 86400
    tls, statement = pem(world, "tls", world.box.tls_der), pem(world, "st", world.box.statement_der)
    desk.run("box", "add", "test-box-01", tls, statement, *WHY)
    desk.run("box", "place", "test-box-01", *WHY)
    (before,) = desk.told("box", "places")["place"]
    assert [name for name, value in before.items() if value] == ["name", "state", "placed_s"]
    with contextlib.closing(Store(world.root / "cli.db")) as store, store.begin() as tx:
        box = tx.execute(select(tables.boxes)).one()
        for network in ("192.0.2.0/24", "198.51.100.0/24"):
            places.observe(tx, box, network, ("machine-altered",), 1767312000, os.urandom)
    derogate = ("box", "derogate", "test-box-01")
    with pytest.raises(SystemExit, match="2"):
        desk.run(*derogate, "2020-01-01", *WHY)
    desk.fails("act-impossible", *derogate, str(world.clock.utc + 91 * day_s), *WHY)
    until_s = world.clock.utc + 7 * day_s
    desk.fails("act-impossible", "box", "derogate", "no-such-box", str(until_s), *WHY)
    desk.run(*derogate, str(until_s), *WHY)
    seen = {"moved_s": 1767312000, "said_altered_s": 1767312000, "until_s": until_s}
    assert desk.told("box", "places")["place"] == [{**before, **seen}]
    assert desk.run("box", "places").count("2026-01-02") == 2
    assert [row["signed"] for row in desk.told("box", "derogations")["derogation"]] == [True]
    desk.run("box", "hold", "test-box-01", *WHY)
    assert desk.told("box", "places")["place"][0]["until_s"] < until_s


def test_a_project_holds_boxes_that_were_moved_and_two_make_it_let_them_in(desk: Desk) -> None:
    desk.run("project", "add", "p", "P", "host-match", "--when-moved", "hold", *WHY)
    assert [row["when_moved"] for row in desk.told("project", "list")["project"]] == ["hold"]
    assert desk.both("project", "set", "p", "--when-moved", "tell")["entered"]["n"] == 2
    assert [row["when_moved"] for row in desk.told("project", "list")["project"]] == ["tell"]
    with pytest.raises(SystemExit, match="2"):
        desk.run("project", "set", "p", "--when-moved", "never", *WHY)


def test_members_come_as_a_list(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.run("holder", "add", f"test-holder-{number:02}", *WHY)
    desk.run("project", "add", "p", "P", "card-match,host-match", *WHY)
    members = desk.world.root / "members.csv"
    head = "holder,project,role,undertaking\n"
    members.write_text(f"{head}test-holder-01,p,lead,2026-01-02\ntest-holder-02,p,member,\n")
    desk.run("grant", "import", str(members), *WHY)  # one card, one PIN
    rows = desk.told("grant", "list")["grant"]
    assert [(row["holder"], row["role"], row["undertaking_s"]) for row in rows] == [
        ("test-holder-01", "lead", 1767312000),
        ("test-holder-02", "member", None),
    ]
    desk.fails("act-impossible", "grant", "import", str(members), *WHY)  # nothing new
    whole = members.read_text()
    members.write_text(f"{whole}test-holder-03,p,member,\ntest-holder-04,p,member,\n")
    with pytest.raises(SystemExit, match="2"):
        desk.run("grant", "import", str(members), *WHY)
    assert len(desk.told("grant", "list")["grant"]) == 2, "nobody, if one is not known"
    with pytest.raises(SystemExit, match="2"):
        desk.run("grant", "add", "test-holder-03", "p", "--undertaking", "2099-01-01", *WHY)
    members.write_text(f"{whole}test-holder-03,p,member,\n")
    assert desk.told("grant", "import", str(members), *WHY)["entered"]["holder"] == "test-holder-03"
    assert len(desk.told("grant", "list")["grant"]) == 3
    members.write_text(f"{head}test-holder-03,p,chief,2026-01-02\n")
    with pytest.raises(SystemExit, match="2"):
        desk.run("grant", "import", str(members), *WHY)
    assert len(desk.told("grant", "list")["grant"]) == 3
    desk.fails("holder-in-use", "holder", "remove", "test-holder-03", *WHY)
    desk.run("grant", "withdraw", "test-holder-03", "p", *WHY)
    desk.run("holder", "remove", "test-holder-03", *WHY)
    assert [row["id"] for row in desk.told("holder", "list")["holder"]] == [
        "test-holder-01",
        "test-holder-02",
    ]


def test_a_weaker_policy_waits_for_another(desk: Desk) -> None:
    desk.run("project", "add", "p", "P", "card-match", *WHY)
    assert "entered" in desk.told("project", "set", "p", "--funder", "Somebody", *WHY)
    assert "pending" in desk.told("project", "set", "p", "--levels", "card-match,card-pin", *WHY)


def test_a_row_nobody_signed_is_shown_as_such(desk: Desk) -> None:
    desk.run("holder", "add", "test-holder-01", *WHY)
    with w.Store(desk.world.root / "cli.db").begin() as tx:
        tx.exec_driver_sql("INSERT INTO holders (id) VALUES ('test-holder-02')")
    assert [row["signed"] for row in desk.told("holder", "list")["holder"]] == [True, False]
    assert "NO" in desk.run("holder", "list")


def test_nobody_without_a_card_of_staffs_does_anything(desk: Desk) -> None:
    """Root included: whoever types, it is the card that counts."""
    desk.world.members.members[0] = desk.world.members.member(9)
    desk.fails("staff-not-allowed", "holder", "add", "test-holder-01", *WHY)
    assert desk.told("holder", "list") == {"holder": []}


def test_the_gateway_is_told_later_if_it_is_away(desk: Desk) -> None:
    assert desk.told("acts", "deliver") == {"delivered": 0}  # of none
    desk.run("holder", "add", "test-holder-01", *WHY)
    desk.fails("centre-fault", "acts", "deliver")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("box", "add", "b", "no-such.pem", "no-such.pem", *WHY), "no-such.pem"),
        (("enrolment", "add", "h", "c", "e", "-", "soon", "late", *WHY), "not-before"),
        (("box", "suspend", "b"), "--motive"),
        (("box", "suspend", "b", "--motive", " "), "--motive"),
        (("box", "suspend", "b", "--motive", "m" * 201), "--motive"),
        (("box", "suspend", "b", "--motive", "a\x1b[31m"), "--motive"),
        (("grant", "add", "h", "p", "--role", "king", *WHY), "--role"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_is_not_understood_is_said_in_one_line_and_exits_with_2(
    desk: Desk, typed: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        desk.run(*typed)
    assert stopped.value.code == 2
    assert said in desk.capsys.readouterr().err.splitlines()[-1]


def test_a_certificate_for_something_else_is_not_entered(desk: Desk) -> None:
    world = desk.world
    first, second = (w.make_card(world.cards, n, world.now).certificates for n in (1, 2))
    auth, keys = pem(world, "9a", first.auth), pem(world, "9d", first.key_management)
    cardauth, other = pem(world, "9e", first.card_auth), pem(world, "9e-2", second.card_auth)
    tls, statement = pem(world, "tls", world.box.tls_der), pem(world, "st", world.box.statement_der)
    (both := world.root / "both.pem").write_bytes(Path(auth).read_bytes() * 2)
    (none := world.root / "none.pem").write_bytes(b"none")
    for typed, said in (
        (("card", "add", "test-holder-01", keys, auth, cardauth), "something else"),
        (("card", "add", "test-holder-01", auth, keys, other), "more than one card"),
        (("card", "add", "test-holder-01", str(both), keys, cardauth), "both.pem: not one"),
        (("card", "add", "test-holder-01", str(none), keys, cardauth), "none.pem: no cert"),
        (("box", "add", "test-box-01", statement, tls), "something else"),
        (("box", "add", "test-box-01", tls, auth), "something else"),
    ):
        with pytest.raises(SystemExit, match="2"):
            desk.run(*typed, *WHY)
        assert said in desk.capsys.readouterr().err


def test_what_is_impossible_is_said_with_its_field_or_its_subject(desk: Desk) -> None:
    for typed, said in (
        (("project", "add", "p", "Label", "face-match"), "levels"),
        (("window", "plan", "2026-06-01", "11"), "ten minutes"),
        (("grant", "add", "nobody", "no-project"), "not entered, nor what comes after: grant/"),
    ):
        with pytest.raises(SystemExit, match="1"):
            desk.run(*typed, *WHY)
        assert said in desk.capsys.readouterr().err


def test_dates_and_lists_are_read_in_one_way() -> None:
    assert utc("2026-01-02") == 1767312000
    assert utc("1767312000") == 1767312000
    with pytest.raises(ValueError, match="month"):
        utc("2026-13-01")
    assert words("b,a,,a") == ("a", "b")


def test_a_contract_has_days(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    project = ("project", "add", "test-project-01", "Test project", "host-match")
    days = ("--contract-from", "2030-01-02", "--contract-until", "2030-01-02")
    with pytest.raises(SystemExit, match="2"):
        desk.run(*project, *days, *WHY)
    assert "before it begins" in capsys.readouterr().err
    desk.run(*project, *days[:2], *WHY)
    with pytest.raises(SystemExit, match="2"):
        desk.run("project", "set", "test-project-01", *days[2:], *WHY)


def test_a_centre_without_a_list_says_so_at_its_start(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    settings_file, list_file = Path(desk.api), desk.world.root / "cards.crl"
    list_file.unlink()
    loaded = load(settings_file, ApiSettings)
    processes.api_app(settings_file, loaded, desk.world.store, desk.world.gateway)
    assert "no card will be let in: crl-stale" in caplog.text
    assert str(list_file) in caplog.text
