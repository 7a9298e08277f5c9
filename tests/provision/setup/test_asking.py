"""A machine that becomes a box, and the box it is then, at a real API over real TLS."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault, Refused
from sdbox_agent.identity.tpm import Tpm
from sdbox_agent.paths import Paths
from sdbox_agent.profile.schema import Centre
from sdbox_agent.provision.setup.answers import Anchors, Answers
from sdbox_agent.provision.setup.asking import Asking
from sdbox_agent.provision.setup.chipmaking import ChipKeys
from sdbox_agent.provision.setup.enrolling import Certified, Keyed
from sdbox_agent.provision.setup.keymaking import FileKeys
from sdbox_agent.provision.setup.places import Places
from sdbox_agent.provision.setup.tree import RealTree, put
from sdbox_centre import authority
from tests.identity.chip import Chip, chip, factory
from tests.provision.setup import people
from tests.sdbox_centre.ordering import Ordered, est_of
from tests.sdbox_centre.tls import served
from tests.sdbox_centre.world import World

__all__ = ["chip", "factory"]
PLACES = Places(os.getuid(), os.getuid())


class Machine:
    """One with keys and certificates, made against the world's centre."""

    def __init__(self, world: World, root: Path, port: int, chip: Tpm | None = None) -> None:
        self.world, self.ordered = world, Ordered(world)
        self.answers = answers(world, self.ordered, port)
        tree, now = RealTree(root), world.now
        self.asking = Asking(Paths(root), self.answers.centre, now, os.getuid(), chip)
        maker = FileKeys(authority.new_key) if chip is None else ChipKeys(chip)
        self.keyed = Keyed(tree, PLACES, maker)
        self.keyed.act()
        self.certified = Certified(tree, PLACES, self.keyed, self.answers, self.asking, now)
        centre = authority.pem_of(world.servers.certificate)
        put(tree, PLACES.anchors, "centre.pem", centre)

    def report(self) -> wire.ReportAnswer:
        return self.asking.report(
            wire.ReportRequest(
                box=self.ordered.name, agent_version="0.1.0", profile="virtual", revision=1,
                machine="a machine", usb=("04e6:5116",), tpm=False, keys=self.keyed.shown(),
            )
        )  # fmt: skip


def answers(world: World, ordered: Ordered, port: int) -> Answers:
    anchors = Anchors(
        centre=(world.servers.certificate_der,),
        cards=people.answers().anchors.cards,
        desk=people.answers().anchors.desk,
        boxes=(world.boxes.certificate_der,),
    )
    centre = Centre(host="centre.test", port=port, addresses=("127.0.0.1",))
    return people.answers(box=ordered.name, token=ordered.token, centre=centre, anchors=anchors)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    world = World(tmp_path)
    with served(world, est=est_of(world)) as port:
        root = tmp_path / "box"
        root.mkdir()
        yield Machine(world, root, port)


@pytest.mark.slow
def test_a_machine_with_a_chip_becomes_a_box_by_the_one_key_in_it(
    tmp_path: Path, chip: Chip
) -> None:
    world, root = World(tmp_path), tmp_path / "box"
    root.mkdir()
    with served(world, est=est_of(world)) as port:
        machine = Machine(world, root, port, chip.tpm)
        machine.certified.act()
        assert machine.certified.holds()
        kept = {path.name for path in (root / "etc/sdbox/identity").iterdir()}
        assert kept == {"statement.tpm", "statement.pem"}
        assert machine.report().state == "ordered"
        key = machine.keyed.key("statement")
        machine.ordered.keys = {"tls": key, "statement": key}  # type: ignore[dict-item]
        machine.ordered.activate()
        assert machine.report().state == "active"
        machine.asking.retire(machine.ordered.name)
        with pytest.raises(Refused, match="box-suspended"):
            machine.report()
    world.close()


def test_from_a_token_to_a_box_that_staff_activate_and_back(machine: Machine) -> None:
    assert not machine.certified.holds()
    machine.certified.act()
    assert machine.certified.holds()
    assert machine.report() == wire.ReportAnswer(state="ordered", voucher=False, placed=False)
    machine.ordered.keys = {  # type: ignore[assignment]
        purpose: machine.keyed.key(purpose) for purpose in ("tls", "statement")
    }
    machine.ordered.activate()
    assert machine.report().state == "active"
    machine.asking.retire(machine.ordered.name)
    assert machine.report().state == "suspended"


def test_who_has_no_identity_is_nobody(machine: Machine) -> None:
    with pytest.raises(Fault, match="box-identity-missing"):
        machine.report()


def test_another_token_is_refused(machine: Machine) -> None:
    other = people.answers(
        box=machine.ordered.name, centre=machine.answers.centre, anchors=machine.answers.anchors
    )
    with pytest.raises(Refused, match="box-token-wrong"):
        machine.asking.enrol("tls", machine.keyed.key("tls"), other)
