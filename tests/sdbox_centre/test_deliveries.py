"""What is handed to a box is traced with its hash; what is refused is not."""

import hashlib

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import Refused
from tests.sdbox_centre import tls
from tests.sdbox_centre import world as w
from tests.sdbox_centre.world import World, session


def deliveries(world: World) -> list[tuple]:
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql(
            "SELECT what, sha256, box, session FROM trace WHERE act = 'delivered' ORDER BY seq"
        )
        return [(what, bytes(sha256), *about) for what, sha256, *about in rows]


def test_what_a_proof_hands_over_is_traced_once_with_its_hash(world: World) -> None:
    one = session(world)
    one.hello()
    request = one.box.proof(one.card, one.name, one.challenge)
    answer = one.client.proof(request)
    assert one.client.proof(request) == answer
    about = (one.box.name, one.name)
    policy = hashlib.sha256(wire.encode(answer.policy)).digest()
    assert deliveries(world) == [
        ("policy", policy, *about),
        ("reference", hashlib.sha256(w.SEALED).digest(), *about),
    ]


def test_a_refused_proof_hands_over_nothing(world: World) -> None:
    one = session(world, card=w.make_card(world.cards, 2, world.now))
    one.hello()
    with pytest.raises(Refused, match="card-unknown"):
        one.prove()
    assert deliveries(world) == []


def test_a_list_that_the_box_has_is_not_handed_over_again(world: World) -> None:
    with tls.served(world) as port:
        box = tls.client(world, port)
        (crl_der,) = box.crls().crls
        had = hashlib.sha256(crl_der).digest()
        assert box.crls([bytes(32), had]).crls == ()
        assert box.crls([bytes(32)]).crls == (crl_der,)
        box.close()
    with world.store.begin() as tx:
        rows = tx.exec_driver_sql(
            "SELECT what, sha256, box, session FROM trace WHERE act = 'delivered'"
        ).all()
    assert [tuple(row) for row in rows] == [("list", had, world.box.name, None)] * 2
