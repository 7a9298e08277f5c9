"""What a receipt and a renewal need besides their signatures, and what may happen in between."""

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import SdboxError
from sdbox_agent.statements import fields
from sdbox_centre.gateway_wire import Install, Renewal
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session


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


@pytest.mark.parametrize("step", ["receipt", "renew"])
def test_an_enrolment_that_ends_within_a_session_ends_it(world: World, step: str) -> None:
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
    assert len(world.peers.peers) == (step == "renew")  # the rest is its lease's


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("DELETE FROM grants", "project-not-granted"),
        ("UPDATE projects SET state = 'closed'", "project-not-granted"),
        ("UPDATE projects SET levels = 'card-match'", "level-not-accepted"),
    ],
)
def test_a_renewal_asks_for_the_grant_again(world: World, change: str, code: str) -> None:
    """Whoever changed the tables need not have ended the sessions, as staff's acts do."""
    one = session(world)
    one.to_open()
    with world.store.begin() as tx:
        tx.exec_driver_sql(change)
    with refused(code):
        one.renew()


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
