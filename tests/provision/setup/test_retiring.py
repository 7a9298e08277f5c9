"""A box unmade: told, then wiped; what was told outlives a power cut, and nothing else does."""

from sdbox_agent.errors import Fault
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.retiring import Said
from sdbox_agent.provision.setup.step import Result
from tests.provision.setup.disk import ModelTree
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


def test_a_dry_run_wipes_nothing() -> None:
    bench, tree = made()
    before = tree.contents()
    assert {one.result for one in retire(bench, tree, dry=True)} == {Result.WOULD}
    assert tree.contents() == before


def test_a_machine_that_is_no_box_has_nothing_to_retire() -> None:
    assert {one.result for one in retire(Bench(), ModelTree())} == {Result.SO}
