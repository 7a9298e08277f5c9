"""A peer without a receipt is refused or found, however it is tried.

With `wg set`, and by a second gateway, it is tried in `rig_gateway`.
"""

import os
from typing import get_args

import msgspec

from sdbox_agent.errors import SdboxError
from sdbox_centre.gateway_wire import Act, Admit, Remove, Request
from tests.fuzz.fuzz_gateway_wire import REQUESTS
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install, refused, renewal
from tests.sdbox_centre.test_handover import through
from tests.sdbox_centre.world import World

MINE = os.urandom(32)  # whoever owns the API would like this key to be in


def test_no_request_of_the_wire_lets_a_key_in_but_a_receipt(world: World) -> None:
    requests = (*REQUESTS, Admit(token=bytes(32), port=4000))
    assert {type(each) for each in requests} == set(get_args(Request)), "another: add it here"
    for request in requests:
        try:
            world.gateway.answer(request)
        except SdboxError:
            pass
        else:
            assert isinstance(request, Remove | Act)  # what an act says of a key: nothing
    assert not world.peers.peers


def test_another_key_under_a_genuine_receipts_signatures_is_refused(world: World) -> None:
    genuine, other = install(world), install(world, wg_public_key=MINE)
    one, two = (msgspec.json.decode(each.statement) for each in (genuine, other))
    forged = msgspec.json.encode({**one, "payload": two["payload"]})
    with refused("statement-invalid"):
        world.gateway.answer(msgspec.structs.replace(genuine, statement=forged))
    assert not world.peers.peers


def test_a_key_written_into_the_database_is_never_in(world: World) -> None:
    """Beside a live session: neither now, nor with its renewals, nor after a reload."""
    one = w.session(world)
    one.to_open()
    before = dict(world.peers.peers)
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE leases SET wg_public_key = ?, until_s = 2000000000", (MINE,))
    one.renew()
    world.gateway.reconcile(w.PROJECT)
    assert world.peers.peers == before
    through(world)
    assert world.peers.peers == before


def test_a_session_written_into_the_database_has_no_lease(world: World) -> None:
    """Its row says that it is open; the gateway has seen no receipt."""
    one = w.session(world)
    one.hello()
    one.prove()
    with world.store.begin() as tx:
        tx.exec_driver_sql("UPDATE sessions SET state = 'open'")
        tx.exec_driver_sql("INSERT INTO leases SELECT id, ?, 2000000000 FROM sessions", (MINE,))
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 1))
    assert not world.peers.peers


def test_a_key_put_on_the_interface_is_found(world: World) -> None:
    """Beside the gateway, or under the addresses of one who has a lease."""
    world.gateway.answer(install(world))
    world.peers.add(w.Peer(MINE, ("10.77.0.6/32",)), bytearray(32))
    world.gateway.reconcile(w.PROJECT)
    assert MINE not in world.peers.peers
    (peer,) = world.peers.peers.values()
    world.peers.add(w.Peer(MINE, peer.addresses[:1]), bytearray(32))
    world.gateway.reconcile(w.PROJECT)
    assert not world.peers.peers, "nor does its lease go on whose address it took"
    with refused("lease-refused"):
        world.gateway.answer(renewal(world, 1))


def test_what_a_reload_is_told_lets_no_key_in_without_a_receipt(world: World) -> None:
    world.peers.add(w.Peer(MINE, ("10.77.0.2/32",)), bytearray(32))
    genuine = install(world)
    world.gateway.answer(genuine)
    forged = msgspec.structs.replace(
        world.gateway.memory().leases[0], statement=install(world, wg_public_key=MINE).statement
    )
    spoilt = msgspec.structs.replace(forged, statement=forged.statement.replace(b"A", b"B", 1))
    memory = msgspec.structs.replace(world.gateway.memory(), leases=(spoilt,))
    through(world, memory)
    assert not world.peers.peers


def test_each_peer_has_one_address_of_each_pool_and_a_key_of_its_own(world: World) -> None:
    cards = [w.make_card(world.cards, n, world.now) for n in range(10, 15)]
    world.write_project(cards)
    for n, card in enumerate(cards):
        world.gateway.answer(install(world, n=n, card=card))
    given = [address for peer in world.peers.peers.values() for address in peer.addresses]
    assert len(given) == len(set(given)) == 2 * len(cards)
    assert {address.rpartition("/")[2] for address in given} == {"32", "128"}
    assert len(set(world.peers.psks.values())) == len(cards)
