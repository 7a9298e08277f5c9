"""A token admits once, for a short time, and says whose it is."""

import hashlib
import secrets

import pytest

from sdbox_agent.errors import Refused
from sdbox_centre import gateway
from sdbox_centre.gateway_wire import Admit, Admitted, Installed, Remove
from sdbox_centre.tokens import TOKEN_S, Tokens
from tests.sdbox_centre import world as w
from tests.sdbox_centre.test_gateway import install
from tests.sdbox_centre.world import World


def refused():
    return pytest.raises(Refused, match=r"^carrier-refused$")


def test_a_token_is_taken_once_and_for_its_session() -> None:
    tokens = Tokens(secrets.token_bytes)
    one, two = tokens.issue("box/1", 100.0), tokens.issue("box/2", 100.0)
    assert one != two
    assert tokens.take(two, 101.0) == "box/2"
    with refused():
        tokens.take(two, 101.0)
    assert tokens.take(one, 101.0) == "box/1"


@pytest.mark.parametrize("token", [b"", bytes(32)])
def test_nobodys_token_is_refused(token: bytes) -> None:
    tokens = Tokens(secrets.token_bytes)
    tokens.issue("box/1", 0.0)
    with refused():
        tokens.take(token, 1.0)


def test_a_token_grows_old() -> None:
    tokens = Tokens(secrets.token_bytes)
    token = tokens.issue("box/1", 0.0)
    assert tokens.take(token, TOKEN_S - 0.1) == "box/1"
    token = tokens.issue("box/1", 0.0)
    with refused():
        tokens.take(token, TOKEN_S)


def test_what_is_too_old_is_forgotten_and_no_token_is_kept_in_clear() -> None:
    tokens = Tokens(secrets.token_bytes)
    for n in range(100):
        token = tokens.issue("box/1", n * TOKEN_S)
    assert len(tokens._issued) == 1
    assert token not in tokens._issued


# -- at the gateway --------------------------------------------------------------------------------


def test_a_lease_comes_with_another_way_in_and_who_answers_there(world: World) -> None:
    installed = world.gateway.answer(install(world))
    assert isinstance(installed, Installed)
    assert installed.carrier is not None
    assert installed.carrier.endpoint == w.CARRIER
    assert installed.carrier.pin == hashlib.sha256(world.servers.certificate_der).digest()
    assert installed.carrier.token.hex() not in repr(installed)
    assert "token=" not in repr(installed.carrier)


def admitted(world: World) -> bytes:
    """A session's token."""
    installed = world.gateway.answer(install(world))
    assert isinstance(installed, Installed)
    assert installed.carrier is not None
    return installed.carrier.token


def test_a_token_gives_its_own_peer_one_endpoint_once(world: World) -> None:
    token = admitted(world)
    (peer,) = world.peers.peers.values()
    assert world.gateway.answer(Admit(token=token, port=4000)) == Admitted(port=51820)
    assert world.peers.carried == {peer.public_key: 4000}
    assert world.peers.peers == {peer.public_key: peer}
    with refused():
        world.gateway.answer(Admit(token=token, port=4001))
    assert world.peers.carried == {peer.public_key: 4000}


def test_a_token_is_worth_no_more_than_its_lease(world: World) -> None:
    token = admitted(world)
    world.gateway.answer(Remove(keys=(f"{world.box.name}/{world.box.boot_id}-1",)))
    with refused():
        world.gateway.answer(Admit(token=token, port=4000))
    assert not world.peers.peers


def test_a_token_grows_old_before_its_lease(world: World) -> None:
    token = admitted(world)
    world.clock.mono += TOKEN_S
    with refused():
        world.gateway.answer(Admit(token=token, port=4000))


def test_a_gateway_without_that_end_offers_none(world: World) -> None:
    plain = gateway.Gateway(
        world.rules(),
        w.Book(world.root / "boxes", world.root / "projects"),
        lambda _project: world.peers,
        w.Clocks(world.clock.utc_s, world.clock.mono_s),
        w.os.urandom,
        w.LEASE_S,
    )
    assert plain.answer(install(world)).carrier is None
