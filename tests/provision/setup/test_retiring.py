"""A box unmade: told, then wiped; what was told outlives a power cut, and nothing else does."""

import errno

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.places import BOX
from sdbox_agent.provision.setup.retiring import Destroyed, Said
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import put
from sdbox_agent.state.model import PowerCut
from tests.provision.setup.disk import Directory, ModelTree, Steps
from tests.provision.setup.machine_double import PLACES, Bench


def made() -> tuple[Bench, ModelTree]:
    bench, tree = Bench(), ModelTree()
    assert all(one.result is not Result.FAILED for one in step.run(bench.setup(tree), dry=False))
    return bench, tree


def retire(bench: Bench, tree: ModelTree, *, dry: bool = False) -> list[step.Told]:
    return list(step.run(bench.retire(tree), dry=dry))


def test_the_centre_is_told_and_nothing_is_left() -> None:
    bench, tree = made()
    told = retire(bench, tree)
    assert {one.result for one in told} == {Result.DONE}
    assert (bench.centre.retired, bench.system.on, told[-1].note) == (["box-07"], set(), "")
    assert not any(path.startswith(("etc/sdbox/", "var")) and files
                   for path, files in tree.contents().items())  # fmt: skip
    assert {one.result for one in retire(bench, tree)} == {Result.SO}
    assert bench.written(tree) is None
    assert all(each.let_in for each in bench.usb.devices)


def test_a_centre_out_of_reach_keeps_nobody_from_wiping() -> None:
    bench, tree = made()
    bench.centre.away = Fault("centre-unreachable")
    told = retire(bench, tree)
    assert {one.result for one in told} == {Result.DONE}
    assert told[-1].note == "untold"
    assert tree.is_empty("etc/sdbox")


def test_settings_that_say_no_centre_leave_nobody_to_tell() -> None:
    bench, tree = made()
    (said,) = [one for one in bench.retire(tree) if isinstance(one, Said)]
    Said(tree, PLACES, said.box, None).act()
    assert retire(bench, tree)[-1].note == "untold"
    assert bench.centre.retired == []


@pytest.mark.parametrize("found", [b"box = 7\n", None], ids=["damaged", "gone"])
def test_a_box_that_has_lost_its_settings_does_not_pass_for_one_that_told(
    found: bytes | None,
) -> None:
    bench, tree = made()
    tree.remove(PLACES.config, BOX)
    if found is not None:
        put(tree, PLACES.config, BOX, found)
    told = retire(bench, tree)
    assert (told[-1].result, told[-1].note) == (Result.DONE, "untold")
    assert tree.is_empty("etc/sdbox")
    assert {one.result for one in retire(bench, tree)} == {Result.SO}


@pytest.mark.parametrize("key", ["tls.key", "statement.key", "statement.tpm"])
def test_keys_go_before_all_else(key: str) -> None:
    tree = ModelTree()
    for name in (key, "a", "tls.pem"):
        put(tree, PLACES.identity, name, b"x")
    steps = Steps()
    tree = ModelTree(tree.contents(), steps)
    steps.cut_at = 1  # its name, and that durable
    with pytest.raises(PowerCut):
        Destroyed(tree, PLACES, "identity").act()
    assert set(tree.contents()[PLACES.identity.path]) == {"a", "tls.pem"}


def test_a_full_disk_keeps_nobody_from_wiping(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, tree = made()
    room, write = sum(map(len, tree.contents().values())), Directory.write

    def full(self: Directory, name: str, data: bytes) -> None:
        if name not in self.contents() and sum(map(len, tree.contents().values())) == room:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, name, data)

    monkeypatch.setattr(Directory, "write", full)
    assert {one.result for one in retire(bench, tree)} == {Result.DONE}
    assert tree.is_empty("etc/sdbox")


def test_a_dry_run_wipes_nothing() -> None:
    bench, tree = made()
    before = tree.contents()
    assert {one.result for one in retire(bench, tree, dry=True)} == {Result.WOULD}
    assert tree.contents() == before


def test_a_machine_that_is_no_box_has_nothing_to_retire() -> None:
    assert {one.result for one in retire(Bench(), ModelTree())} == {Result.SO}
