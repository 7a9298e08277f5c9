"""What a receipt and a renewal need besides their signatures, and what may happen in between."""

import msgspec
import pytest
from cryptography import x509

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, SdboxError
from sdbox_agent.statements import fields
from sdbox_agent.terms import KEM_KEY_BYTES, Band, Level
from sdbox_agent.tunnel import psk
from sdbox_centre.gateway_wire import Install, Renewal
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World, session

ENGINES = BOTH


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


def test_a_renewal_is_of_this_box_and_session(world: World) -> None:
    one = session(world)
    one.to_open()
    signer = (world.card.certificates.auth, world.card.auth)
    for box, name in (("test-box-02", one.name), (world.box.name, "boot-1-7")):
        said = fields.Renew(box=box, session=name, challenge=one.challenge, n=1)
        with refused("statement-not-yours"):
            one.client.renew(
                wire.RenewRequest(session=one.name, statement=w.statement(said, signer))
            )
    one.renew()  # none of that spent the challenge


def test_the_api_neither_stores_nor_says_the_preshared_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[object] = []
    answer = world.gateway.answer

    def overheard(request: Install) -> object:
        said.append(answer(request))
        return said[-1]

    monkeypatch.setattr(world.gateway, "answer", overheard)
    lease = session(world).to_open()
    (key,) = world.peers.psks.values()
    assert key not in b"".join(map(msgspec.msgpack.encode, [lease, *said]))
    stored = world.stored()
    assert not any(part in stored for part in (key, lease.psk_salt, lease.kem_ciphertext))
    assert w.SEALED in stored  # the search finds what is there


def test_the_post_quantum_key_is_the_one_that_was_signed_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    honest = one.receipt_request()
    invalid = b"\xff" * KEM_KEY_BYTES
    with monkeypatch.context() as api_alone:
        api_alone.setattr(world.gateway, "answer", lambda _request: pytest.fail("asked"))
        with refused("kem-key-mismatch"):
            one.client.receipt(msgspec.structs.replace(honest, kem_key=psk.KemPair().public))
        named = one.receipt_request(kem_key_sha256=w.hashlib.sha256(invalid).digest())
        with refused("kem-key-invalid"):
            one.client.receipt(msgspec.structs.replace(named, kem_key=invalid))
    one.client.receipt(honest)  # nothing was spent


@pytest.fixture
def bound(world: World) -> w.Card:
    """A match-bound card, enrolled; the gateway takes it too. No reference: the card compares."""
    card = w.make_card(world.cards, 2, world.now, match_bound=True)
    world.admit(card, 2, None)
    world.accept(Level.CARD_MATCH)
    world.write_project([world.card, card], *w.LEVELS)
    return card


BY_CARD = {
    "enrolment": "test-enrolment-02",
    "level": Level.CARD_MATCH,
    "reference_sha256": None,
}


def test_a_match_bound_card_goes_from_hello_to_a_lease(world: World, bound: w.Card) -> None:
    one = session(world, card=bound)
    one.hello()
    answer = one.prove()
    assert (answer.level, answer.reference) == (Level.CARD_MATCH, None)
    assert one.attempt().code_right is None
    one.receipt(**BY_CARD)
    one.renew()


def test_only_where_the_box_compares_can_it_say_how_clear_the_match_was(
    world: World, bound: w.Card
) -> None:
    one = session(world, card=bound)
    one.hello()
    one.prove()
    one.attempt()
    with refused("request-invalid"):
        one.receipt(Band.FAIR, **BY_CARD)
    with world.store.begin() as tx:
        assert not tx.exec_driver_sql("SELECT * FROM ageing").all()
    one.receipt(**BY_CARD)  # nothing was spent


def test_no_reference_is_served_to_a_card_that_compares(world: World) -> None:
    """Though there is one: enrolled before the card could, or by mistake."""
    card = w.make_card(world.cards, 2, world.now, match_bound=True)
    world.admit(card, 2)
    world.accept(Level.CARD_MATCH)
    one = session(world, card=card)
    one.hello()
    answer = one.prove()
    assert (answer.level, answer.reference) == (Level.CARD_MATCH, None)
    one.attempt()
    with refused("statement-invalid"):
        one.receipt(**{**BY_CARD, "reference_sha256": w.hashlib.sha256(w.SEALED).digest()})


def test_a_level_is_decided_once_and_never_lowered(world: World, bound: w.Card) -> None:
    one = session(world, card=bound)
    one.hello()
    one.prove()
    one.attempt()
    for level in (Level.HOST_MATCH, Level.CARD_PIN):
        with refused("level-not-accepted"):
            one.receipt(**{**BY_CARD, "level": level})
    two = session(world, 2, card=bound)
    two.hello()
    request = world.box.proof(bound, two.name, two.challenge)
    for less in ((), (Level.HOST_MATCH,), (Level.HOST_MATCH, Level.CARD_PIN)):
        with refused("level-not-accepted"):
            two.client.proof(msgspec.structs.replace(request, levels=less))


def test_card_match_is_believed_of_the_certificate_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PIN-opened 9A signs it, whatever the box says: refused before the gateway hears of it."""
    world.accept(Level.CARD_MATCH)
    world.write_project([world.card], *w.LEVELS)
    one = session(world)
    one.hello()
    assert one.prove().level is Level.HOST_MATCH
    one.attempt()
    asked: list[object] = []
    monkeypatch.setattr(world.gateway, "answer", asked.append)
    with refused("card-not-match-bound"):
        one.receipt(level=Level.CARD_MATCH, reference_sha256=None)
    with world.store.begin() as tx:  # nor if somebody wrote the level into the table
        tx.exec_driver_sql("UPDATE sessions SET level = 'card-match'")
    with refused("card-not-match-bound"):
        one.receipt(level=Level.CARD_MATCH, reference_sha256=None)
    assert asked == []


def test_a_card_without_reference_is_of_no_use_to_a_box_that_compares(world: World) -> None:
    card = w.make_card(world.cards, 2, world.now)
    world.admit(card, 2, None)
    one = session(world, card=card)
    one.hello()
    with refused("level-not-accepted"):
        one.prove()


def test_a_list_published_within_a_session_is_heard_at_the_receipt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    world.publish_crl(x509.load_der_x509_certificate(world.card.certificates.auth).serial_number)
    monkeypatch.setattr(world.gateway, "answer", lambda _request: pytest.fail("asked"))
    with refused("card-revoked"):
        one.receipt()


def test_a_list_published_while_the_tunnel_is_up_ends_it_at_the_renewal(world: World) -> None:
    one = session(world)
    one.to_open()
    world.publish_crl(x509.load_der_x509_certificate(world.card.certificates.auth).serial_number)
    with refused("card-revoked"):
        one.renew()
    assert not world.peers.peers
    assert world.trace()[-1] == ("end", "card-revoked")


def test_a_list_that_is_out_of_date_ends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = session(world)
    one.to_open()

    def stale(*_: object) -> None:
        raise Fault("crl-stale")

    with monkeypatch.context() as api_alone:
        api_alone.setattr(world.centre.cards, "check", stale)
        with refused("crl-stale"):
            one.renew()
    one.n -= 1
    one.renew()


@pytest.mark.parametrize("step", ["receipt", "renew"])
def test_an_enrolment_that_ends_within_a_session_ends_it(world: World, step: str) -> None:
    world.believe_rows()
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    if step == "renew":
        one.receipt()
    with world.store.begin() as tx:
        tx.exec_driver_sql(f"UPDATE enrolments SET not_after_s = {world.clock.utc}")
    with refused("enrolment-expired"):
        getattr(one, step)()
    assert not world.peers.peers


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("DELETE FROM grants", "project-not-granted"),
        ("UPDATE projects SET state = 'closed'", "project-closed"),
        ("UPDATE projects SET levels = 'card-match'", "level-not-accepted"),
    ],
)
def test_a_renewal_asks_for_the_grant_again(world: World, change: str, code: str) -> None:
    """Whoever changed the tables need not have ended the sessions, as staff's acts do.

    It ends here, and does not wait for its lease.
    """
    world.believe_rows()
    one = session(world)
    one.to_open()
    with world.store.begin() as tx:
        tx.exec_driver_sql(change)
    with refused(code):
        one.renew()
    assert not world.peers.peers
    assert world.trace()[-1] == ("end", code)


@pytest.mark.parametrize("step", ["install", "renew"])
def test_a_session_ended_while_the_gateway_worked_keeps_no_peer(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Staff revoke the card after it was last looked at, and their word to the gateway is lost."""
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    if step == "renew":
        one.receipt()
    answer = world.gateway.answer

    def revoked_meanwhile(request):
        done = answer(request)
        if isinstance(request, Install | Renewal):
            world.staff.revoke_card(world.card.name, "test")
        return done

    monkeypatch.setattr(world.gateway, "answer", revoked_meanwhile)
    with refused("session-closed"):
        one.receipt() if step == "install" else one.renew()
    assert not world.peers.peers
