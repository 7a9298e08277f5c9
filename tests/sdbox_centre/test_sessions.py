import hashlib
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from cryptography import x509

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused, SdboxError
from sdbox_agent.statements import fields
from sdbox_agent.terms import Level
from sdbox_agent.tunnel import psk
from sdbox_centre import authority, sessions
from tests.sdbox_centre import world as w
from tests.sdbox_centre.databases import BOTH
from tests.sdbox_centre.world import World, session

ENGINES = BOTH


def test_a_session_goes_from_hello_to_a_renewed_lease_and_its_end(world: World) -> None:
    one = session(world)
    one.hello()
    proved = one.prove()
    assert proved.level is Level.HOST_MATCH
    assert proved.reference == w.SEALED
    assert [(grant.project, grant.code) for grant in proved.grants] == [(w.PROJECT, None)]
    assert one.attempt().left == 9
    lease = one.receipt()
    assert lease.lease_s == w.LEASE_S
    assert lease.addresses == ("10.77.0.2/32", "fd77::2/128")
    assert lease.vm == "10.77.0.1"
    (peer,) = world.peers.peers.values()
    offer = psk.Offer(lease.psk_salt, lease.kem_ciphertext)
    bound = psk.Bound(one.receipt_sha256, peer.public_key, lease.peer)
    assert world.box.kem.psk(offer, bound) == world.peers.psks[peer.public_key]
    for _ in range(3):
        world.clock.move(30)
        assert one.renew().lease_s == w.LEASE_S
    one.end()
    assert not world.peers.peers
    acts = [act for act, code in world.trace() if code == "done"]
    assert acts[-10:] == [
        "boot", "proof", "delivered", "delivered", "attempt", "receipt", "lease", "renew", "renew",
        "renew",
    ]  # fmt: skip
    assert world.trace()[-1] == ("end", "card-removed")
    with world.store.begin() as tx:
        made = tx.exec_driver_sql("SELECT act, post_quantum FROM trace WHERE post_quantum <> ''")
        assert [tuple(row) for row in made] == [("lease", "ml-kem-768")]


def test_the_same_bytes_again_get_the_same_answer(world: World) -> None:
    one = session(world)
    one.hello()
    request = world.box.proof(world.card, one.name, one.challenge)
    assert one.client.proof(request) == one.client.proof(request)
    one.challenge = one.client.proof(request).challenge
    spent = wire.AttemptRequest(session=one.name, challenge=one.challenge)
    assert one.client.attempt(spent) == one.client.attempt(spent)
    one.challenge = one.client.attempt(spent).challenge
    receipt = one.receipt_request()
    first = one.client.receipt(receipt)
    assert one.client.receipt(receipt) == first
    renewal = world.box.renew(world.card, one.name, first.challenge, 1)
    assert one.client.renew(renewal) == one.client.renew(renewal)
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT failures FROM cards").scalar() == 0
        assert tx.exec_driver_sql("SELECT count(*) FROM attempts").scalar() == 1
        assert tx.exec_driver_sql("SELECT renewals FROM sessions").scalar() == 1


def refused(code: str):
    return pytest.raises(SdboxError, match=f"^{code}$")


def test_a_used_challenge_takes_no_other_bytes(world: World) -> None:
    one = session(world)
    one.hello()
    challenge = one.challenge
    one.prove()
    one.challenge = challenge
    with refused("challenge-used"):
        one.prove()  # a new signature over the same fields: other bytes


def test_challenges_belong_to_one_session_and_one_purpose(world: World) -> None:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    card = w.make_card(world.cards, 2, world.now)
    world.admit(card, 2)
    one, other = session(world), session(world, box=box, card=card)
    one.hello()
    other.hello()
    other.challenge = one.challenge
    with refused("challenge-unknown"):
        other.prove()
    with refused("challenge-unknown"):
        one.attempt()  # a proof's challenge buys no attempt


@pytest.mark.parametrize(("wait_s", "code"), [(30, "session-closed"), (31, "session-closed")])
def test_a_proof_comes_within_its_time(world: World, wait_s: int, code: str) -> None:
    one = session(world)
    one.hello()
    world.clock.move(wait_s)
    with refused(code):
        one.prove()


def test_a_transaction_has_its_time(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    world.clock.move(600)
    with refused("session-closed"):
        one.receipt()


def test_another_box_gets_nothing(world: World) -> None:
    one = session(world)
    one.hello()
    stranger = w.make_box(world.boxes, 3, world.now)  # of our authority, in no list
    with refused("box-refused"):
        w.Direct(world.centre, stranger).hello(stranger.hello(None))
    second = w.make_box(world.boxes, 2, world.now)
    world.add_box(second)
    talk = w.Direct(world.centre, second)
    with refused("box-refused"):
        talk.hello(world.box.hello(None))  # says it is the first box
    with refused("not-found"):
        talk.proof(world.box.proof(world.card, one.name, one.challenge))
    with refused("not-found"):
        talk.end(wire.EndRequest(session=one.name, code="cancelled"))


def test_a_suspended_box_gets_nothing_and_its_peer_goes(world: World) -> None:
    one = session(world)
    one.to_open()
    world.centre.evict(world.staff.suspend_box(world.box.name, "test"))
    assert not world.peers.peers
    with refused("box-suspended"):
        one.renew()
    with refused("box-suspended"):
        one.client.hello(world.box.hello(None))
    world.staff.resume_box(world.box.name, "test")
    with refused("session-closed"):
        one.renew()


@pytest.mark.parametrize("change", [{"boot_counter": 0}, {"boot_id": "other"}])
def test_a_clone_suspends_the_box(world: World, change: dict[str, object]) -> None:
    one = session(world)
    one.to_open()
    for name, value in change.items():
        setattr(world.box, name, value)
    with refused("box-clone"):
        one.client.hello(world.box.hello(None))
    assert not world.peers.peers
    with refused("box-suspended"):
        one.client.hello(world.box.hello(None))
    assert ("hello", "box-clone") in world.trace()


def test_a_new_start_ends_the_sessions_of_the_last(world: World) -> None:
    one = session(world)
    one.to_open()
    world.box.boot_counter, world.box.boot_id = 2, "boot-again"
    one.client.hello(world.box.hello(None))
    assert not world.peers.peers
    session(world, 2).to_open()


def test_a_session_is_named_after_its_start(world: World) -> None:
    """So that no statement of an earlier start says the name of a session of this one."""
    for name in ("boot-0-1", "boot-1", "boot-11-1"):
        with refused("request-invalid"):
            world.talk().hello(world.box.hello(name))
    with refused("not-found"):
        world.talk().end(wire.EndRequest(session="boot-0-1", code="card-removed"))


def test_a_wire_version_that_nobody_speaks_is_refused(world: World) -> None:
    request = wire.HelloRequest(
        box=world.box.name,
        boot_id="boot-1",
        boot_counter=1,
        agent_version="9",
    )
    for least, most in ((1, 1), (1, wire.WIRE_MIN - 1), (wire.WIRE_MAX + 1, 9)):
        spoken = msgspec.structs.replace(request, wire_min=least, wire_max=most)
        with refused("wire-unsupported"):
            world.talk().hello(spoken)
    assert world.talk().hello(request).wire == wire.WIRE_MAX


def test_a_statement_is_of_this_box_session_and_card(world: World) -> None:
    one = session(world)
    one.hello()
    for change in ({"box": "test-box-02"}, {"session": "boot-1-7"}):
        with refused("statement-not-yours"):
            one.client.proof(world.box.proof(world.card, one.name, one.challenge, change))
    other = w.make_card(world.cards, 2, world.now)
    forged = world.box.proof(other, one.name, one.challenge).statement
    mine = world.box.proof(world.card, one.name, one.challenge)
    with refused("statement-invalid"):
        one.client.proof(msgspec.structs.replace(mine, statement=forged))
    one.prove()  # none of that spent the challenge


def test_a_card_nobody_enrolled_is_unknown(world: World) -> None:
    with refused("card-unknown"):
        stranger = session(world, card=w.make_card(world.cards, 2, world.now))
        stranger.hello()
        stranger.prove()


def test_a_card_with_one_certificate_of_another_issue_is_unknown(world: World) -> None:
    """Reissued 9D under the same GUID: valid path, but not the card that was enrolled."""
    now = world.now
    first = world.card
    again = w.make_card(world.cards, 1, now)
    mixed = w.Card(
        type(first.certificates)(
            first.certificates.auth,
            again.certificates.key_management,
            first.certificates.card_auth,
        ),
        first.auth,
        first.card_auth,
    )
    one = session(world, card=mixed)
    one.hello()
    with refused("card-unknown"):
        one.prove()


def test_a_card_of_another_authority_is_not_trusted(world: World) -> None:
    other = authority.authority("Test Card Authority", world.now)  # the same name, another key
    one = session(world, card=w.make_card(other, 1, world.now))
    one.hello()
    with refused("card-untrusted"):
        one.prove()


def test_a_revoked_card_is_refused_by_list_and_by_staff(world: World) -> None:
    serial = x509.load_der_x509_certificate(world.card.certificates.auth).serial_number
    one = session(world)
    one.hello()
    world.publish_crl(serial)
    with refused("card-revoked"):
        one.prove()
    world.publish_crl()
    one.prove()
    world.staff.revoke_card(world.card.name, "test")
    with refused("session-closed"):
        one.attempt()
    two = session(world, 2)
    two.hello()
    with refused("card-revoked"):
        two.prove()


def test_a_list_older_than_one_seen_is_not_taken(world: World) -> None:
    (world.root / "old").write_bytes((world.root / "cards.crl").read_bytes())
    world.publish_crl()
    one = session(world)
    one.hello()
    one.prove()
    (world.root / "old").replace(world.root / "cards.crl")
    two = session(world, 2)
    two.hello()
    with pytest.raises(SdboxError, match="crl-invalid"):
        two.prove()


def test_revocation_of_a_card_removes_its_peer_at_once(world: World) -> None:
    one = session(world)
    one.to_open()
    world.centre.evict(world.staff.revoke_card(world.card.name, "test"))
    assert not world.peers.peers
    with refused("session-closed"):
        one.renew()


def test_a_withdrawn_grant_ends_the_session(world: World) -> None:
    one = session(world)
    one.to_open()
    world.centre.evict(world.staff.withdraw("test-holder-01", w.PROJECT, "test"))
    assert not world.peers.peers
    two = session(world, 2)
    two.hello()
    with refused("no-project"):
        two.prove()


def test_one_card_has_one_live_session(world: World) -> None:
    box = w.make_box(world.boxes, 2, world.now)
    world.add_box(box)
    session(world).to_open()
    for n in (1, 2):
        other = session(world, n, box=box)
        other.hello()
        with refused("session-elsewhere"):
            other.prove()
        world.clock.move(29)
    world.clock.move(2)  # the first box said nothing more: its lease is over
    again = session(world, 3, box=box)
    again.hello()
    again.prove()


def test_a_card_back_in_its_box_takes_over_its_own_session(world: World) -> None:
    session(world).to_open()
    session(world, 2).to_open()
    assert len(world.peers.peers) == 1


def test_an_enrolment_has_an_end(world: World) -> None:
    world.believe_rows()
    with world.store.begin() as tx:
        tx.exec_driver_sql(f"UPDATE enrolments SET not_after_s = {world.clock.utc}")
    one = session(world)
    one.hello()
    with refused("enrolment-expired"):
        one.prove()


def test_a_box_that_can_do_no_level_is_refused(world: World) -> None:
    one = session(world)
    one.hello()
    request = world.box.proof(world.card, one.name, one.challenge)
    with refused("level-not-accepted"):
        one.client.proof(msgspec.structs.replace(request, levels=(Level.CARD_MATCH,)))
    with refused("request-invalid"):
        one.prove()
        one.attempt(otp="123456")  # a code is asked for at card-pin alone


def test_a_project_that_asks_for_more_is_shown_but_shut(world: World) -> None:
    world.staff.add_project("test-project-02", "Second", [Level.CARD_MATCH])
    world.staff.grant("test-holder-01", "test-project-02")
    one = session(world)
    one.hello()
    shown = {grant.project: grant.code for grant in one.prove().grants}
    assert shown == {w.PROJECT: None, "test-project-02": "level-not-accepted"}
    one.attempt()
    with refused("level-not-accepted"):
        one.receipt(project="test-project-02")


def spend(world: World, n: int) -> int:
    """A session of failures; how many attempts it got."""
    one = session(world, n)
    one.hello()
    one.prove()
    got = 0
    try:
        while True:
            one.attempt()
            got += 1
    except Refused:
        return got


def test_failures_delay_then_lock_and_staff_unlock(world: World) -> None:
    assert spend(world, 1) == 3
    assert spend(world, 2) == 2  # the fifth failure begins the delay
    with refused("too-soon"):
        spend(world, 3)
    for n, delay_s in enumerate((30, 60, 120, 240, 480), start=5):
        world.clock.move(delay_s - 1)
        with refused("too-soon"):
            spend(world, 10 * n)
        world.clock.move(1)
        assert spend(world, 10 * n + 1) == 1
    world.clock.move(86400 * 2)
    with refused("card-locked"):
        spend(world, 999)
    world.staff.unlock_card(world.card.name, "test")
    session(world, 1000).to_open()


def test_the_answer_to_a_proof_counts_staffs_unlocks_and_nothing_else(world: World) -> None:
    """What lets a box forget its own count of failures: see sdbox_agent.state.attempts."""

    def unlocks(n: int) -> int:
        one = session(world, n)
        one.hello()
        return int(one.prove().unlocks)

    assert unlocks(1) == 0
    world.staff.unlock_card(world.card.name, "test")
    assert unlocks(2) == 1
    session(world, 3).to_open()  # an accepted receipt is no unlock
    assert unlocks(4) == 1
    world.staff.unlock_card(world.card.name, "test")
    assert unlocks(5) == 2


def test_only_an_accepted_receipt_makes_attempts_whole(world: World) -> None:
    assert spend(world, 1) == 3
    one = session(world, 2)
    one.to_open()
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT failures FROM cards").scalar() == 0


def test_a_refused_receipt_gives_no_attempt_back(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    with refused("statement-invalid"):
        one.receipt(attempt=2)
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT failures FROM cards").scalar() == 1


def test_attempts_at_once_are_counted_once_each(world: World) -> None:
    """Eight threads, one challenge: one attempt is spent, and all the same bytes agree on it."""
    one = session(world)
    one.hello()
    one.prove()

    def spend_one(n: int):
        request = wire.AttemptRequest(session=one.name, challenge=one.challenge)
        digest = hashlib.sha256(b"same" if n % 2 else str(n).encode()).digest()
        try:
            return sessions.attempt(world.centre, world.box.fingerprint, request, digest)
        except Refused as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(spend_one, range(16)))
    granted = {answer for answer in answers if answer != "challenge-used"}
    assert len(granted) == 1
    with world.store.begin() as tx:
        assert tx.exec_driver_sql("SELECT failures FROM cards").scalar() == 1
        assert tx.exec_driver_sql("SELECT attempts FROM sessions").scalar() == 1


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 2},
        {"attempt": 0},
        {"enrolment": "test-enrolment-02"},
        {"reference_sha256": bytes(32)},
        {"reference_sha256": None},
        {"level": Level.CARD_PIN, "reference_sha256": None},
    ],
)
def test_a_receipt_says_what_the_session_did(world: World, change: dict[str, object]) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    with refused("statement-invalid"):
        one.receipt(**change)
    assert not world.peers.peers


def test_a_receipt_needs_an_attempt(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    with refused("statement-invalid"):
        one.receipt(attempt=0)


def test_a_receipt_for_another_box_session_or_project_is_refused(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    with refused("statement-not-yours"):
        one.receipt(box="test-box-02")
    with refused("statement-not-yours"):
        one.receipt(session=f"{world.box.boot_id}-2")
    with refused("project-not-granted"):
        one.receipt(project="test-project-09")
    assert not world.peers.peers


def test_every_altered_byte_of_a_receipt_is_refused(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    request = one.receipt_request()
    for at in range(0, len(request.statement), 11):
        altered = bytearray(request.statement)
        altered[at] ^= 1
        with pytest.raises(Refused, match="statement-"):
            one.client.receipt(msgspec.structs.replace(request, statement=bytes(altered)))
    assert not world.peers.peers
    one.client.receipt(request)  # and the unaltered one is taken


def test_a_receipt_is_signed_by_both(world: World) -> None:
    one = session(world)
    one.hello()
    one.prove()
    one.attempt()
    said = world.box.receipt_of(one.name, one.challenge, 1, world.clock.utc, {})
    honest = world.box.receipt(world.card, said)
    card = (world.card.certificates.auth, world.card.auth)
    box = (world.box.statement_der, world.box.statement_key)
    other = w.make_box(world.boxes, 2, world.now)
    ninth = (world.card.certificates.card_auth, world.card.card_auth)
    for signers in (
        [card],
        [box],
        [box, card],
        [card, card],
        [ninth, box],
        [card, (other.statement_der, other.statement_key)],
    ):
        forged = msgspec.structs.replace(honest, statement=w.statement(said, *signers))
        with refused("statement-invalid"):
            one.client.receipt(forged)


def test_a_renewal_is_the_next_one(world: World) -> None:
    one = session(world)
    one.to_open()
    one.n = 1
    with refused("statement-invalid"):
        one.renew()
    one.n = 0
    one.renew()


def test_a_lease_that_ended_is_not_renewed(world: World) -> None:
    one = session(world)
    one.to_open()
    world.clock.move(w.LEASE_S)
    with refused("session-closed"):
        one.renew()


def test_proofs_are_signed_by_9e_or_9a_only(world: World) -> None:
    one = session(world)
    one.hello()
    said = fields.Proof(box=world.box.name, session=one.name, challenge=one.challenge)
    by_9a = w.statement(said, (world.card.certificates.auth, world.card.auth))
    by_box = w.statement(said, (world.box.statement_der, world.box.statement_key))
    request = world.box.proof(world.card, one.name, one.challenge)
    with refused("statement-invalid"):
        one.client.proof(msgspec.structs.replace(request, statement=by_box))
    one.client.proof(msgspec.structs.replace(request, statement=by_9a))


def test_a_delay_that_begins_within_a_session_is_named(world: World) -> None:
    spend(world, 1)
    two = session(world, 2)
    two.hello()
    two.prove()
    two.attempt()
    two.attempt()
    with refused("too-soon"):
        two.attempt()
