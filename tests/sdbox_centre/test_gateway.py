import msgspec
import pytest
from cryptography import x509

from sdbox_agent.errors import SdboxError
from sdbox_agent.statements import fields, jws
from sdbox_agent.terms import KEM_KEY_BYTES, Level
from sdbox_agent.tunnel import psk
from sdbox_centre import authority, gateway
from sdbox_centre.gateway_wire import (
    Install,
    Installed,
    Remove,
    Renewal,
    Renewed,
)
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World


def install(world: World, n: int = 1, card=None, by=None, **changed) -> Install:
    """What an API would hand on; here nobody has checked anything before the gateway."""
    card, box = card or world.card, by or world.box
    said = box.receipt_of(f"{box.boot_id}-{n}", n.to_bytes(32), 1, world.clock.utc, changed)
    three = card.certificates
    request = box.receipt(card, said)
    return Install(
        box=box.name,
        statement=request.statement,
        kem_key=request.kem_key,
        auth=three.auth,
        key_management=three.key_management,
        card_auth=three.card_auth,
    )


def renewal(
    world: World, n: int, session: int = 1, key=None, challenge=b"c" * 32, card=None
) -> Renewal:
    name = f"{world.box.boot_id}-{session}"
    said = fields.Renew(box=world.box.name, session=name, challenge=challenge, n=n)
    card = card or world.card
    signer = (card.certificates.auth, key or card.auth)
    return Renewal(
        key=f"{world.box.name}/{name}", statement=w.statement(said, signer), challenge=b"c" * 32
    )


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


def test_a_receipt_lets_exactly_one_peer_in_and_repeated_changes_nothing(world: World) -> None:
    request = install(world)
    first = world.gateway.answer(request)
    assert isinstance(first, Installed)
    assert world.gateway.answer(request) == first
    (peer,) = world.peers.peers.values()
    assert peer.addresses == first.addresses
    payload = jws.unb64url(msgspec.json.decode(request.statement)["payload"])
    bound = psk.Bound(w.hashlib.sha256(payload).digest(), peer.public_key, first.peer)
    key = world.box.kem.psk(psk.Offer(first.psk_salt, first.kem_ciphertext), bound)
    assert world.peers.psks == {peer.public_key: key}
    assert "psk" not in f"{first!r}{world.gateway._leases._by_key}"


def test_a_lease_ends_by_the_gateways_own_clock(world: World) -> None:
    world.gateway.answer(install(world))
    world.clock.mono += w.LEASE_S - 0.01
    assert world.gateway.expire() == pytest.approx(0.01)
    assert world.peers.peers
    world.clock.utc -= 10**6  # a wall clock set back gives nobody a second more
    world.clock.mono += 0.01
    assert world.gateway.expire() is None
    assert not world.peers.peers


def test_a_lease_that_is_over_goes_before_any_question_is_answered(world: World) -> None:
    first, name = install(world), f"{world.box.name}/{world.box.boot_id}-1"
    world.gateway.answer(first)
    world.clock.move(w.LEASE_S)
    second = install(world, n=2)
    world.gateway.answer(second)  # the same card: its old peer is not in the way, nor in
    assert len(world.peers.peers) == 1
    with pytest.raises(SdboxError):
        world.gateway.answer(msgspec.structs.replace(renewal(world, 1), key=name))


def test_a_receipt_seen_is_not_taken_again(world: World) -> None:
    request = install(world)
    world.gateway.answer(request)
    world.gateway.answer(Remove(keys=(f"{world.box.name}/{world.box.boot_id}-1",)))
    assert not world.peers.peers
    with refused("challenge-used"):
        world.gateway.answer(request)
    world.clock.move(1300)  # forgotten by then, but too old by its own date
    with refused("challenge-expired"):
        world.gateway.answer(request)


def test_a_receipt_seen_is_not_taken_again_wherever_the_clock_is_set_to(world: World) -> None:
    ahead = install(world, utc_s=world.clock.utc + gateway.FRESH_S)  # a box's clock may be
    world.gateway.answer(ahead)
    world.clock.move(2 * gateway.FRESH_S)  # still not too old by its date
    with refused("challenge-used"):
        world.gateway.answer(ahead)
    world.clock.move(gateway.FRESH_S)
    world.gateway.answer(install(world, n=2))  # only now the first is forgotten
    world.clock.move(w.LEASE_S)
    world.clock.utc -= 2 * gateway.FRESH_S  # its day is back
    with refused("challenge-expired"):
        world.gateway.answer(ahead)
    assert not world.peers.peers


@pytest.mark.parametrize("other_form", [w.spaced, w.mirrored])
def test_a_receipt_seen_is_known_in_any_other_form(world: World, other_form) -> None:
    """Spaces around it, or (r, n-s) for (r, s): whoever has the API alone can write these."""
    request = install(world)
    world.gateway.answer(request)
    world.gateway.answer(Remove(keys=(f"{world.box.name}/{world.box.boot_id}-1",)))
    again = msgspec.structs.replace(request, statement=other_form(request.statement))
    assert again.statement != request.statement
    with pytest.raises(SdboxError, match=r"^(challenge-used|statement-invalid)$"):
        world.gateway.answer(again)
    assert not world.peers.peers


def test_a_renewal_seen_in_another_form_gives_no_second_more(world: World) -> None:
    world.gateway.answer(install(world))
    first = renewal(world, 1)
    world.gateway.answer(first)
    world.clock.move(10)
    again = msgspec.structs.replace(first, statement=w.mirrored(first.statement))
    assert world.gateway.answer(again) == Renewed(lease_s=w.LEASE_S - 10)


def test_a_level_is_not_believed_from_a_receipt(world: World) -> None:
    """Even where the project wants it: a PIN opens this card's 9A, or may."""
    world.write_project([world.card], *w.LEVELS)
    with refused("card-not-match-bound"):
        world.gateway.answer(install(world, level=Level.CARD_MATCH, reference_sha256=None))
    with refused("level-not-accepted"):
        world.gateway.answer(install(world, level=Level.CARD_PIN, reference_sha256=None))
    assert not world.peers.peers


def test_a_match_bound_card_enters_at_card_match_and_at_nothing_else(world: World) -> None:
    card = w.make_card(world.cards, 2, world.now, match_bound=True)
    world.write_project([card], *w.LEVELS)
    for n, level in enumerate((Level.HOST_MATCH, Level.CARD_PIN), start=1):
        with refused("level-not-accepted"):
            world.gateway.answer(install(world, n=n, card=card, level=level))
    with refused("statement-invalid"):  # no reference is served at this level
        world.gateway.answer(install(world, n=3, card=card, level=Level.CARD_MATCH))
    asked = {"level": Level.CARD_MATCH, "reference_sha256": None}
    world.gateway.answer(install(world, n=4, card=card, **asked))
    assert len(world.peers.peers) == 1


def test_a_card_of_the_pin_list_enters_by_pin_and_by_nothing_else(world: World) -> None:
    card = w.make_card(world.cards, 2, world.now)
    by_pin = {"level": Level.CARD_PIN, "reference_sha256": None}
    world.write_project([world.card], *w.LEVELS, pin_cards=(card,))
    with refused("level-not-accepted"):
        world.gateway.answer(install(world, card=card))  # says that a finger matched
    with refused("level-not-accepted"):
        world.gateway.answer(install(world, **by_pin))  # a card of the fingers' list
    with refused("project-not-granted"):
        stranger = w.make_card(world.cards, 3, world.now)
        world.gateway.answer(install(world, card=stranger, **by_pin))
    request = install(world, n=2, card=card, **by_pin)
    world.gateway.answer(request)
    world.write_project([world.card, card], *w.LEVELS)  # changed lists while it was in
    said = fields.Renew(box=world.box.name, session="boot-1-2", challenge=b"c" * 32, n=1)
    signed = w.statement(said, (card.certificates.auth, card.auth))
    with refused("level-not-accepted"):
        world.gateway.answer(
            Renewal(key=f"{world.box.name}/boot-1-2", statement=signed, challenge=b"c" * 32)
        )


def test_a_project_that_takes_no_pin_takes_none_from_the_pin_list(world: World) -> None:
    card = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card], pin_cards=(card,))
    asked = {"level": Level.CARD_PIN, "reference_sha256": None}
    with refused("level-not-accepted"):
        world.gateway.answer(install(world, card=card, **asked))


def test_a_certificate_with_a_key_nobody_knows_is_refused(world: World) -> None:
    """It is read before its path is checked, and must not end the process and every tunnel."""
    request = install(world)
    p256, other = (bytes.fromhex("06082a8648ce3d0301" + last) for last in ("07", "05"))
    for auth in (request.auth.replace(p256, other), request.auth[:-1], b"x"):
        with refused("statement-invalid"):
            world.gateway.answer(msgspec.structs.replace(request, auth=auth))


@pytest.mark.parametrize("skew_s", [-601, 601])
def test_a_receipt_of_another_time_is_refused(world: World, skew_s: int) -> None:
    with refused("challenge-expired"):
        world.gateway.answer(install(world, utc_s=world.clock.utc + skew_s))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"level": Level.CARD_MATCH, "reference_sha256": None}, "card-not-match-bound"),
        ({"reference_sha256": None}, "statement-invalid"),
        ({"kem_key_sha256": bytes(32)}, "kem-key-mismatch"),
        ({"project": "test-project-09"}, "project-not-granted"),
        ({"project": ".."}, "project-not-granted"),
        ({"attempt": 0}, "project-not-granted"),
        ({"box": "test-box-02"}, "statement-not-yours"),
    ],
)
def test_the_gateway_judges_by_its_own_files(world: World, change: dict, code: str) -> None:
    with refused(code):
        world.gateway.answer(install(world, **change))
    assert not world.peers.peers


def test_another_key_beside_the_receipt_lets_nobody_in(world: World) -> None:
    """Whoever owns the API would like to know the tunnel's key."""
    request = install(world)
    own = psk.KemPair().public
    with refused("kem-key-mismatch"):
        world.gateway.answer(msgspec.structs.replace(request, kem_key=own))
    invalid = b"\xff" * KEM_KEY_BYTES
    named = install(world, kem_key_sha256=w.hashlib.sha256(invalid).digest())
    with refused("kem-key-invalid"):
        world.gateway.answer(msgspec.structs.replace(named, kem_key=invalid))
    assert not world.peers.peers
    world.gateway.answer(request)  # nothing was lost


def test_a_card_in_the_database_alone_opens_nothing(world: World) -> None:
    card = w.make_card(world.cards, 2, world.now)
    world.admit(card, 2)  # the API would say yes
    with refused("project-not-granted"):
        world.gateway.answer(install(world, card=card))
    world.write_project([world.card, card])
    world.gateway.answer(install(world, n=2, card=card))


def test_a_box_in_the_database_alone_opens_nothing(world: World) -> None:
    box = w.make_box(world.boxes, 2, world.now)
    world.staff.add_box(box.name, box.tls_der, box.statement_der)
    with refused("box-refused"):
        world.gateway.answer(install(world, by=box))
    for name in ("..", "../boxes/test-box-01"):
        with refused("box-refused"):
            world.gateway.answer(msgspec.structs.replace(install(world), box=name))


def test_the_gateway_checks_the_cards_path_itself(world: World) -> None:
    foreign = authority.authority("Test Card Authority", world.now)
    card = w.make_card(foreign, 1, world.now)
    world.write_project([card])
    with refused("card-untrusted"):
        world.gateway.answer(install(world, card=card))
    world.write_project([world.card])
    serial = x509.load_der_x509_certificate(world.card.certificates.auth).serial_number
    world.publish_crl(serial)
    with refused("card-revoked"):
        world.gateway.answer(install(world))
    (world.root / "cards.crl").unlink()
    with pytest.raises(SdboxError, match="crl-stale"):
        world.gateway.answer(install(world))
    assert not world.peers.peers


def test_a_signature_by_another_key_is_refused(world: World) -> None:
    other = w.make_card(world.cards, 2, world.now)
    forged = w.Card(world.card.certificates, other.auth, other.card_auth)
    with refused("statement-invalid"):
        world.gateway.answer(install(world, card=forged))


def test_one_card_and_one_key_have_one_lease(world: World) -> None:
    key = bytes(range(32))
    world.gateway.answer(install(world, wg_public_key=key))
    with refused("session-elsewhere"):
        world.gateway.answer(install(world, n=2))
    with refused("lease-refused"):
        world.gateway.answer(install(world))  # the session again, with another receipt
    card = w.make_card(world.cards, 2, world.now)
    world.write_project([world.card, card])
    with refused("lease-refused"):
        world.gateway.answer(install(world, n=3, card=card, wg_public_key=key))
    assert len(world.peers.peers) == 1


def test_a_pool_that_is_full_refuses(world: World) -> None:
    cards = [w.make_card(world.cards, n, world.now) for n in range(10, 16)]
    world.write_project(cards)
    given = [
        world.gateway.answer(install(world, n=n, card=card)).addresses
        for n, card in enumerate(cards[:5])
    ]
    assert len({address for both in given for address in both}) == 10
    with refused("lease-refused"):
        world.gateway.answer(install(world, n=9, card=cards[5]))


def test_a_renewal_is_signed_by_the_card_and_counted(world: World) -> None:
    world.gateway.answer(install(world))
    world.clock.move(30)
    assert world.gateway.answer(renewal(world, 1)) == Renewed(lease_s=w.LEASE_S)
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 3))
    with refused("statement-invalid"):
        world.gateway.answer(renewal(world, 2, key=world.box.statement_key))
    with refused("statement-not-yours"):
        world.gateway.answer(renewal(world, 2, challenge=b"d" * 32))
    world.clock.move(w.LEASE_S - 1)
    again = renewal(world, 2)
    assert world.gateway.answer(again) == Renewed(lease_s=w.LEASE_S)
    world.clock.move(10)
    assert world.gateway.answer(again) == Renewed(lease_s=w.LEASE_S - 10)  # no second more
    world.clock.move(w.LEASE_S)
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 3))


def test_a_renewal_asks_card_box_and_project_again(world: World) -> None:
    world.gateway.answer(install(world))
    world.write_project([])
    with refused("project-not-granted"):
        world.gateway.answer(renewal(world, 1))
    world.write_project([world.card], Level.CARD_MATCH)
    with refused("level-not-accepted"):
        world.gateway.answer(renewal(world, 1))
    world.write_project([world.card])
    serial = x509.load_der_x509_certificate(world.card.certificates.card_auth).serial_number
    world.publish_crl(serial)
    with refused("card-revoked"):
        world.gateway.answer(renewal(world, 1))
    world.publish_crl()
    (world.root / "boxes" / f"{world.box.name}.pem").unlink()
    with refused("box-refused"):
        world.gateway.answer(renewal(world, 1))


def test_an_interface_that_lost_a_peer_or_died_ends_the_gateway(world: World) -> None:
    world.gateway.answer(install(world))
    world.peers.peers.clear()
    with pytest.raises(OSError, match="lost a peer"):
        world.gateway.reconcile(w.PROJECT)
    world.peers.broken = True
    world.clock.move(w.LEASE_S)
    with pytest.raises(OSError, match="gone"):
        world.gateway.expire()


def test_a_restart_begins_with_nobody(world: World) -> None:
    world.gateway.answer(install(world))
    again = gateway.Gateway(
        world.rules(),
        w.Book(world.root / "boxes", world.root / "projects"),
        lambda _project: w.MemoryPeers(),
        w.Clocks(world.clock.utc_s, world.clock.mono_s),
        w.os.urandom,
        w.LEASE_S,
    )
    with refused("lease-refused"):
        again.answer(renewal(world, 1))


def test_a_receipt_from_before_a_restart_is_not_taken_after_it(world: World) -> None:
    """The API may have kept it; what the gateway had seen, it has forgotten."""
    request = install(world)
    world.clock.move(1)
    again = gateway.Gateway(
        world.rules(),
        w.Book(world.root / "boxes", world.root / "projects"),
        lambda _project: w.MemoryPeers(),
        w.Clocks(world.clock.utc_s, world.clock.mono_s),
        w.os.urandom,
        w.LEASE_S,
    )
    with refused("challenge-expired"):
        again.answer(request)
    again.answer(install(world, n=2))
