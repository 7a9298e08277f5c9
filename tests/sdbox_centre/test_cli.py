"""Staff's commands over real files, as an operator types them."""

import json
from pathlib import Path

import pytest

from sdbox_agent import errors
from sdbox_centre import authority, cli
from sdbox_centre.memory import Memory, Taken
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, x509


def settings(world: World) -> tuple[str, str]:
    """api.toml and gateway.toml over the world's files."""
    api, gateway = world.root / "api.toml", world.root / "gateway.toml"
    api.write_text(
        """address = "127.0.0.1"
port = 0
certificate = "server.pem"
key = "server.key"
box_anchors = "boxes-authority.pem"
card_anchors = "anchors.pem"
crls = ["cards.crl"]
database = "cli.db"
gateway_socket = "gateway.sock"
gateway_uid = 0
"""
    )
    gateway.write_text(
        """socket = "gateway.sock"
api_uid = 0
card_anchors = "anchors.pem"
crls = ["cards.crl"]
boxes = "boxes"
projects = "projects"
runtime = "/run/wireguard"
"""
    )
    return str(api), str(gateway)


def pem(world: World, name: str, certificate_der: bytes) -> str:
    path = world.root / f"{name}.pem"
    path.write_bytes(authority.pem_of(x509.load_der_x509_certificate(certificate_der)))
    return str(path)


def test_two_members_of_staff_enrol_a_person_without_a_finger(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, gateway = settings(world)
    Path(api).write_text(Path(api).read_text() + 'otp_key = "otp.key"\n')
    one = w.make_card(world.cards, 2, world.now)
    card, until_s = one.certificates, str(world.clock.utc + 86400)
    auth = pem(world, "9a", card.auth)
    keys, cardauth = pem(world, "9d", card.key_management), pem(world, "9e", card.card_auth)

    def run(name: str, *arguments: str, config: str = api) -> None:
        cli.main([name, "--config", config, *arguments])

    def failed(code: str, *arguments: str) -> None:
        capsys.readouterr()
        with pytest.raises(SystemExit, match="1"):
            run(*arguments)
        assert errors.table()[code].sentence["en"] in capsys.readouterr().err

    run("init")
    run("add-holder", "test-holder-02")
    run("add-card", "test-holder-02", auth, keys, cardauth)
    asked = ("propose-no-finger", "e2", auth, until_s)
    for without in (("--motive", "scar"), ("--staff", "test-staff-01")):
        with pytest.raises(SystemExit, match="2"):
            run(*asked, *without)
    run(*asked, "--motive", "scar", "--staff", "test-staff-01")
    failed("two-persons-needed", "confirm-no-finger", "e2", "--staff", "test-staff-01")
    run("confirm-no-finger", "e2", "--staff", "test-staff-02")
    failed("config-invalid", "provision-code", "e2", "--motive", "first device")
    run("make-otp-key")
    failed("request-invalid", "make-otp-key")
    capsys.readouterr()
    run("provision-code", "e2", "--motive", "first device")
    shown = capsys.readouterr()
    assert shown.out.startswith("otpauth://totp/SD-Box:e2?")
    assert shown.out.count("\n") == 1
    assert "secret" not in shown.err
    failed("not-found", "provision-code", "e9", "--motive", "first device")
    Path(api).write_text(Path(api).read_text().replace('otp_key = "otp.key"\n', ""))
    failed("config-invalid", "provision-code", "e2", "--motive", "first device")
    failed("config-invalid", "make-otp-key")

    book = w.Book(world.root / "boxes", world.root / "projects")
    run("gateway-admit-pin", w.PROJECT, auth, config=gateway)
    run("gateway-admit-pin", w.PROJECT, auth, config=gateway)
    assert book.project(w.PROJECT).pin_cards == {one.name}
    assert book.project(w.PROJECT).cards == {world.card.name}
    with pytest.raises(SystemExit, match="1"):
        run("gateway-admit", w.PROJECT, auth, config=gateway)  # one way in
    first = pem(world, "first", world.card.certificates.auth)
    with pytest.raises(SystemExit, match="1"):
        run("gateway-admit-pin", w.PROJECT, first, config=gateway)
    run("gateway-expel", w.PROJECT, auth, config=gateway)
    run("gateway-admit", w.PROJECT, auth, config=gateway)
    assert book.project(w.PROJECT).cards == {world.card.name, one.name}
    assert book.project(w.PROJECT).pin_cards == frozenset()


def test_an_operator_sets_a_centre_up_and_takes_it_apart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, gateway = settings(world)
    card = world.card.certificates
    auth = pem(world, "9a", card.auth)
    keys, cardauth = pem(world, "9d", card.key_management), pem(world, "9e", card.card_auth)
    tls, statement = pem(world, "tls", world.box.tls_der), pem(world, "st", world.box.statement_der)
    sealed = world.root / "sealed.der"
    sealed.write_bytes(w.SEALED)

    def run(name: str, *arguments: str, config: str = api) -> None:
        cli.main([name, "--config", config, *arguments])

    run("init")
    run("add-box", "test-box-01", tls, statement)
    run("add-holder", "test-holder-01")
    run("add-card", "test-holder-01", auth, keys, cardauth)
    run("add-enrolment", "test-enrolment-01", auth, str(sealed), "0", "4000000000")
    with pytest.raises(SystemExit, match="1"):
        run("add-enrolment", "test-enrolment-02", auth, "-", "0", "4000000000")  # one a card
    run("add-project", w.PROJECT, "Test project 01", "host-match,card-match")
    run("grant", "test-holder-01", w.PROJECT)
    run("unlock-card", auth, "--motive", "test")
    run("suspend-box", "test-box-01", "--motive", "test")
    run("resume-box", "test-box-01", "--motive", "test")
    run("withdraw", "test-holder-01", w.PROJECT, "--motive", "test")
    run("close-project", w.PROJECT, "--motive", "test")
    run("revoke-card", auth, "--motive", "test")
    with pytest.raises(SystemExit, match="1"):
        run("add-holder", "test-holder-01")
    with pytest.raises(SystemExit, match="2"):
        run("revoke-card", auth)  # without a motive

    other = w.make_card(world.cards, 2, world.now)
    second = pem(world, "other", other.certificates.auth)
    file = Path(world.root / "projects" / f"{w.PROJECT}.toml")
    run("gateway-admit", w.PROJECT, second, config=gateway)
    run("gateway-admit", w.PROJECT, second, config=gateway)
    book = w.Book(world.root / "boxes", world.root / "projects")
    assert book.project(w.PROJECT).cards == {world.card.name, other.name}
    run("gateway-expel", w.PROJECT, auth, config=gateway)
    assert book.project(w.PROJECT).cards == {other.name}
    assert file.read_text().count("cards") == 1
    with pytest.raises(SystemExit, match="1"):
        run("gateway-expel", w.PROJECT, auth, config=gateway)
    run("gateway-box", "test-box-09", statement, config=gateway)
    assert book.box("test-box-09") == world.box.statement_der

    capsys.readouterr()
    run("access-review", "--json")
    reviewed = json.loads(capsys.readouterr().out)
    assert [(one["what"], one["name"]) for one in reviewed] == [
        ("box", "test-box-01"),
        ("holder", "test-holder-01"),
        ("project", w.PROJECT),
    ]
    run("access-review")
    assert len(capsys.readouterr().out.splitlines()) == 4
    run("openapi")
    assert "/v1/hello" in json.loads(capsys.readouterr().out)["paths"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add-box", "b", "no-such.pem", "no-such.pem"), "no-such.pem"),
        (("add-project", "p", "label", "card-pin,nonsense"), "nonsense"),
        (("add-enrolment", "e", "no-such.pem", "-", "soon", "late"), "soon"),
        (("provision-code", "e", "--motive", " "), "--motive"),
        (("suspend-box", "b", "--motive", "m" * 201), "--motive"),
        (("suspend-box", "b", "--motive", "a\x1b[31m"), "--motive"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_what_is_not_understood_is_said_in_one_line_and_exits_with_2(
    world: World, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    api, _ = settings(world)
    cli.main(["init", "--config", api])
    with pytest.raises(SystemExit) as stopped:
        cli.main([words[0], "--config", api, *words[1:]])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_a_database_that_was_put_back_is_accepted_by_staff(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = settings(world)
    Path(api).write_text(Path(api).read_text() + 'remembered = "remembered"\n')

    def run(name: str, *arguments: str) -> None:
        cli.main([name, "--config", api, *arguments])

    run("init")
    run("add-holder", "test-holder-02")
    remembered = Memory(world.root / "remembered")
    remembered.keep([Taken(3, "box", "test-box-07", 1)])
    remembered.close()
    with pytest.raises(SystemExit, match="1"):
        run("add-holder", "test-holder-03")
    assert errors.table()["database-restored"].sentence["en"] in capsys.readouterr().err
    run("restore-accept", "--motive", "disk died", "--also", str(world.root / "another"))
    assert capsys.readouterr().out == "box test-box-07\n"
    run("add-holder", "test-holder-03")
