"""Live leases are asked about again: what is taken away in the gateway's files is out by then."""

import pytest
from cryptography import x509

from sdbox_agent.errors import SdboxError
from sdbox_agent.terms import Level
from sdbox_centre import authority, gateway
from sdbox_centre.gateway_wire import Renewed
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install, refused, renewal
from tests.sdbox_centre.world import World


def serial(certificate_der: bytes) -> int:
    return x509.load_der_x509_certificate(certificate_der).serial_number


def looked_at(world: World) -> None:
    """One round, whole."""
    world.gateway.review.begin()
    to_the_end(world)


def to_the_end(world: World) -> None:
    while world.gateway.review.go_on(1.0):
        pass


def test_what_still_stands_stays(world: World) -> None:
    world.gateway.answer(install(world))
    looked_at(world)
    assert world.gateway.answer(renewal(world, 1)) == Renewed(lease_s=w.LEASE_S)


def no_card(world: World) -> None:
    world.write_project([])


def other_level(world: World) -> None:
    world.write_project([world.card], Level.CARD_MATCH)


def no_project(world: World) -> None:
    (world.root / "projects" / f"{w.PROJECT}.toml").unlink()


def no_box(world: World) -> None:
    (world.root / "boxes" / f"{world.box.name}.pem").unlink()


def box_with_another_key(world: World) -> None:
    """Whoever made the receipt may have had the old one, and that is why there is a new one."""
    box = w.make_box(world.boxes, 1, world.now)
    pem = authority.pem_of(x509.load_der_x509_certificate(box.statement_der))
    new = world.root / "boxes" / f"{box.name}.new"
    new.write_bytes(pem)
    new.replace(new.with_suffix(".pem"))


def revoked(world: World) -> None:
    world.publish_crl(serial(world.card.certificates.key_management))


@pytest.mark.parametrize(
    ("taken_away", "code"),
    [
        (no_card, "project-not-granted"),
        (other_level, "level-not-accepted"),
        (no_project, "project-not-granted"),
        (no_box, "box-refused"),
        (box_with_another_key, "box-refused"),
        (revoked, "card-revoked"),
    ],
)
def test_what_no_longer_stands_is_out_and_its_renewal_is_told_why(
    world: World, taken_away, code: str
) -> None:
    world.gateway.answer(install(world))
    world.gateway.review.look()
    to_the_end(world)
    world.gateway.review.look()
    assert not world.gateway.review.go_on(0)  # nothing is others than it was
    taken_away(world)
    world.gateway.review.look()
    to_the_end(world)
    assert not world.peers.peers
    with refused(code):
        world.gateway.answer(renewal(world, 1))


def test_a_card_whose_time_is_over_is_out(world: World) -> None:
    world.gateway.answer(install(world))
    world.clock.utc += 5 * w.YEAR_S
    world.now = w.dt.datetime.fromtimestamp(world.clock.utc, w.dt.UTC)
    world.publish_crl()  # lists go on
    looked_at(world)
    assert not world.peers.peers
    with refused("card-expired"):
        world.gateway.answer(renewal(world, 1))


@pytest.mark.parametrize("spoilt", ["projects/test-project-01.toml", "cards.crl"])
def test_a_file_of_ours_that_can_not_be_read_ends_nobody_at_once(
    world: World, spoilt: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing about a card. Nobody renews meanwhile: the lease is the net."""
    other = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card, other])
    world.gateway.answer(install(world))
    world.gateway.answer(install(world, n=2, card=other))
    (world.root / spoilt).write_text("nonsense")
    looked_at(world)
    assert len(world.peers.peers) == 2
    assert sum("can't be looked at" in line for line in caplog.messages) == 1
    with pytest.raises(SdboxError, match=r"config-invalid|crl-invalid"):
        world.gateway.answer(renewal(world, 1))


def test_cards_are_looked_at_in_slices_those_that_a_list_names_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = [w.make_card(world.cards, n, world.now) for n in range(10, 14)]
    world.write_project(cards)
    for n, card in enumerate(cards):
        world.gateway.answer(install(world, n=n, card=card))
    world.publish_crl(serial(cards[3].certificates.auth))
    world.gateway.review.begin()
    standing = world.gateway.review._standing
    real = standing.still_proved

    def slowly(lease) -> None:
        world.clock.mono += 0.01
        real(lease)

    monkeypatch.setattr(standing, "still_proved", slowly)
    assert world.gateway.review.go_on(0.005)
    assert len(world.peers.peers) == 3
    assert world.gateway.review.go_on(0.02)
    assert not world.gateway.review.go_on(0.02)
    assert len(world.peers.peers) == 3


def asked(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sessions whose box and project are asked about from now on; each takes 10 ms."""
    of, standing = [], world.gateway.review._standing
    real = standing.listed

    def slowly(lease) -> None:
        world.clock.mono += 0.01
        of.append(lease.receipt.session)
        real(lease)

    monkeypatch.setattr(standing, "listed", slowly)
    return of


def crowd(world: World, count: int) -> list[w.Card]:
    cards = [w.make_card(world.cards, 20 + n, world.now) for n in range(count)]
    world.write_project(cards)
    for n, card in enumerate(cards):
        world.gateway.answer(install(world, n=n, card=card))
    looked_at(world)
    return cards


def test_acts_in_a_row_starve_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round begun anew comes first to those whom the last one had not come to."""
    crowd(world, 5)
    of = asked(world, monkeypatch)
    for _ in range(3):
        world.gateway.review.begin()
        world.gateway.review.go_on(0.015)
    sessions = [lease.receipt.session for lease in world.gateway._leases.all()]
    assert of == [*sessions, sessions[0]]


def test_those_whom_an_act_names_are_asked_about_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = crowd(world, 4)
    of, last = asked(world, monkeypatch), world.gateway._leases.all()[-1]
    world.gateway.review.look()
    to_the_end(world)
    of.clear()
    (world.root / "boxes" / "another.pem").write_bytes(b"")
    monkeypatch.setattr(world.gateway.review, "_stamp", (world.gateway.review._stamp[0], None))
    world.gateway.review.look(f"card/{cards[-1].name.hex()}")
    to_the_end(world)
    assert (of[0], len(of)) == (last.receipt.session, 4)


def test_no_more_is_remembered_of_the_ended_than_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "MAX_ENDED", 1)
    other = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card, other])
    world.gateway.answer(install(world))
    world.gateway.answer(install(world, n=2, card=other))
    world.write_project([])
    looked_at(world)
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 1))
    with refused("project-not-granted"):
        world.gateway.answer(renewal(world, 1, session=2))
