"""Who comes after the centre's authority: learned by the old one's word, proven at each start."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.identity import centreanchors, keys
from sdbox_centre import authority
from tests.identity.test_renewal import DAY, Settled
from tests.sdbox_centre import ordering, tls
from tests.sdbox_centre.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    grown = World(tmp_path)
    yield grown
    grown.close()


def test_a_successor_is_learned_and_pinned_by_the_next_start(world: World) -> None:
    """The old one vouches; then a centre that shows nothing but the new one is believed."""
    day_ago = world.now - authority.BACKDATED
    first = world.servers = authority.authority("Test Server Authority", day_ago, path_length=1)
    box = Settled(world, 200 * DAY)
    second = authority.authority("Test Server Authority 2", day_ago)
    word = first.subordinate("Test Server Authority 2", world.now, key=second.key)
    offers = dataclasses.replace(
        ordering.est_of(world), successors=(second.certificate_der, word.certificate_der)
    )
    with tls.served(world, est=offers) as port:
        assert box.renew(port).learned == 1
        assert box.renew(port).learned == 0
    world.servers = second
    with tls.served(world, est=ordering.est_of(world)) as port:
        client = box.client(port)
        client.crls()
        client.close()
        assert set(keys.load(box.config).centre_anchors) == {first.certificate, second.certificate}


def test_what_nobody_pinned_vouches_for_is_neither_learned_nor_believed(world: World) -> None:
    box = Settled(world, 200 * DAY)
    stranger = authority.authority("Test Stranger", world.now, path_length=1)
    rogue = authority.authority("Test Server Authority 2", world.now)
    word = stranger.subordinate("Test Server Authority 2", world.now, key=rogue.key)
    offered = (rogue.certificate_der, word.certificate_der)
    offers = dataclasses.replace(ordering.est_of(world), successors=offered)
    with tls.served(world, est=offers) as port:
        assert box.renew(port).learned == 0
    lies = authority.pem_of(rogue.certificate, word.certificate)
    for data in (lies, b"nonsense", b""):  # whoever may write there
        (box.config / centreanchors.SUCCESSORS).write_bytes(data)
        assert keys.load(box.config).centre_anchors == (world.servers.certificate,)


def test_what_root_laid_down_must_be_certificates(world: World) -> None:
    box = Settled(world, 200 * DAY)
    (box.config / centreanchors.PINNED).write_bytes(b"nonsense")
    with pytest.raises(Fault, match="config-invalid"):
        centreanchors.load(box.config)
    (box.config / centreanchors.PINNED).unlink()
    with pytest.raises(FileNotFoundError):
        centreanchors.load(box.config)
