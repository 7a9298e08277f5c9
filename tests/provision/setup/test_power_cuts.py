"""A power cut anywhere in setup or retirement, every disk it may leave, and a second run: the same.

The disk is the model's (disk.py): it keeps what was synced, and of the rest anything that may be.
Centre and service manager are other machines' and the kernel's: what they have heard, they know.
"""

import copy
import functools

import pytest

from sdbox_agent.centre import wire
from sdbox_agent.errors import Fault
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.places import ACTIVATED, RETIRED
from sdbox_agent.provision.setup.step import Result
from sdbox_agent.provision.setup.tree import NEW
from sdbox_agent.state.model import PowerCut
from tests.provision.setup.disk import Contents, ModelTree, Steps
from tests.provision.setup.machine_double import Bench

FRESH: Contents = {"etc": {"fstab": b"/dev/a / ext4 defaults 0 1\n/dev/b none swap sw 0 0\n"}}
STATE = "var/lib/sdbox"


def ended(bench: Bench, tree: ModelTree, act: str) -> list[step.Told]:
    return list(step.run(getattr(bench, act)(tree), dry=False))


def made() -> tuple[Bench, ModelTree]:
    bench, tree = Bench(), ModelTree(copy.deepcopy(FRESH))
    assert {told.result for told in ended(bench, tree, "setup")} <= {Result.DONE, Result.SO}
    return bench, tree


def tidy(contents: Contents) -> Contents:
    """Without what an interrupted write may have left beside: nothing reads it."""
    return {
        path: {name: data for name, data in files.items() if not name.endswith(NEW)}
        for path, files in contents.items()
    }


def shape(contents: Contents) -> Contents:
    """What two ways there must agree in: keys are drawn, and so what stands on them."""
    drawn = {"tls.key", "statement.key", "tls.pem", "statement.pem", "reported"}
    return {
        path: {name: b"drawn" if name in drawn else data for name, data in files.items()}
        for path, files in tidy(contents).items()
    }


def calls(act: str, contents: Contents, bench: Bench) -> int:
    tree = ModelTree(copy.deepcopy(contents))
    ended(copy.deepcopy(bench), tree, act)
    return tree.steps.taken


def cut(bench: Bench, contents: Contents, act: str, at: int) -> list[Contents]:
    """Every disk there may be when the power goes in the middle of call `at`."""
    tree = ModelTree(copy.deepcopy(contents), Steps(cut_at=at))
    with pytest.raises(PowerCut):
        ended(bench, tree, act)
    seen: dict[str, Contents] = {}
    for disk in tree.after_cut():
        seen.setdefault(repr(tidy(disk)), disk)  # one of those that differ beside what is read
    return list(seen.values())


@functools.cache
def cuts() -> list[tuple[int, Bench, list[Contents]]]:
    """Every call of a setup: the others, as they are when it is cut there, and the disks."""
    found = []
    for at in range(calls("setup", FRESH, Bench())):
        bench = Bench()
        found.append((at, bench, cut(bench, FRESH, "setup", at)))
    return found


def test_setup_ends_the_same_wherever_it_was_cut() -> None:
    _, whole = made()
    wanted = shape(whole.contents())
    points = disks = 0
    for at, bench, left in cuts():
        for disk in left:
            again, tree = copy.deepcopy(bench), ModelTree(copy.deepcopy(disk))
            told = ended(again, tree, "setup")
            assert {one.result for one in told} <= {Result.DONE, Result.SO}, (at, told[-1])
            assert shape(tree.contents()) == wanted, at
            assert len(again.centre.issued) == 2
            disks += 1
        points += 1
    assert points > 100
    assert disks > 150


def test_nothing_half_written_is_ever_under_its_name() -> None:
    """What box, doctor and agent read between a cut and the second run is whole, or not there."""
    _, whole = made()
    wanted = whole.contents()
    fresh = FRESH["etc"]["fstab"]
    for at, _, left in cuts():
        for disk in left:
            for path, files in tidy(disk).items():
                for name, data in files.items():
                    drawn = name in {"tls.key", "statement.key", "tls.pem", "statement.pem"}
                    if drawn:
                        assert data.startswith(b"-----BEGIN "), (at, path, name)
                        assert data.endswith(b"-----\n"), (at, path, name)
                    elif name == "reported":
                        assert wire.decode(data, wire.ReportRequest).box == "box-07"
                    else:
                        assert data in {wanted[path][name], fresh}, (at, path, name)


def test_a_box_is_in_service_only_with_all_it_needs() -> None:
    for _, _, left in cuts():
        for disk in left:
            if ACTIVATED in disk.get("etc/sdbox", {}):
                assert {"tls.key", "tls.pem", "statement.key", "statement.pem"} <= set(
                    disk["etc/sdbox/identity"]
                )
                assert "state.json" in disk[STATE]


@pytest.mark.parametrize("away", [False, True])
def test_retirement_ends_the_same_wherever_it_was_cut(*, away: bool) -> None:
    bench, whole = made()
    bench.centre.away = Fault("centre-unreachable") if away else None
    before = whole.contents()
    disks = 0
    for at in range(calls("retire", before, bench)):
        cut_bench = copy.deepcopy(bench)
        for disk in cut(cut_bench, before, "retire", at):
            again, tree = copy.deepcopy(cut_bench), ModelTree(disk)
            told = ended(again, tree, "retire")
            assert {one.result for one in told} <= {Result.DONE, Result.SO}, (at, told[-1])
            left = tree.contents()
            assert not any(left.get(path) for path in left if path.startswith(("etc/sdbox", STATE)))
            assert again.centre.retired == ([] if away else ["box-07"] * len(again.centre.retired))
            assert away or again.centre.retired, at
            disks += 1
    assert disks > 40


def test_an_untold_retirement_says_so_at_its_end_whoever_makes_it() -> None:
    bench, whole = made()
    bench.centre.away = Fault("centre-unreachable")
    before = whole.contents()
    for at in range(calls("retire", before, bench)):
        cut_bench = copy.deepcopy(bench)
        for disk in cut(cut_bench, before, "retire", at):
            again, tree = copy.deepcopy(cut_bench), ModelTree(disk)
            told = ended(again, tree, "retire")
            marked = RETIRED in disk.get("etc/sdbox", {})
            begun = any(disk.get(path) for path in disk if path.startswith("etc/sdbox"))
            if marked or begun:
                assert told[-1].note == "untold", at
