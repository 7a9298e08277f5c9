"""Settings that keep memory off the disk, and the checks that activation asks for."""

import pytest

from sdbox_agent.errors import Fault
from sdbox_agent.provision.doctor import finding
from sdbox_agent.provision.setup.fitness import DROP_INS, Fit, Hardened, Unfit, without_swap
from sdbox_agent.provision.setup.tree import read
from tests.provision.setup.disk import ModelTree
from tests.provision.setup.machine_double import FIT, PLACES, FakeSystem

FSTAB = b"# fstab\nUUID=1 / ext4 errors=remount-ro 0 1\nUUID=2 none swap sw 0 0\n\n"


def test_what_keeps_memory_off_the_disk_is_written_and_put_to_work() -> None:
    tree, system = ModelTree({"etc": {"fstab": FSTAB}}), FakeSystem()
    hardened = Hardened(tree, PLACES, system)
    assert not hardened.holds()
    hardened.act()
    assert hardened.holds()
    assert system.settlements == 1
    for path, name, data in DROP_INS:
        assert read(tree, PLACES.system(path), name) == data
    hardened.act()
    assert read(tree, PLACES.system("etc"), "fstab") == without_swap(FSTAB)


def test_a_machine_without_fstab_gets_none() -> None:
    tree = ModelTree()
    Hardened(tree, PLACES, FakeSystem()).act()
    assert "etc" not in tree.contents()


def test_lines_of_swap_become_comments_once_and_nothing_else_changes() -> None:
    once = without_swap(FSTAB)
    assert without_swap(once) == once
    assert [line for line in once.splitlines() if not line.startswith(b"#")] == [
        b"UUID=1 / ext4 errors=remount-ro 0 1",
        b"",
    ]
    assert b"UUID=2 none swap sw 0 0" in once


def test_a_fit_machine_is_fit() -> None:
    assert fit(FIT).holds()
    assert fit((*FIT[1:], finding.warn(FIT[0].check, code="data-unencrypted"))).holds()


def fit(found: tuple[finding.Finding, ...], *, mended: bool = True) -> Fit:
    """After the step before, or before it."""
    hardened = Hardened(ModelTree(), PLACES, FakeSystem())
    if mended:
        hardened.act()
    return Fit(lambda: found, hardened, "en")


def test_what_the_step_before_has_yet_to_mend_is_no_failure() -> None:
    assert not fit(_instead(FREED, SWAP), mended=False).holds()
    open_disk = finding.failed("data-partition", code="data-unencrypted", detail="/")
    with pytest.raises(Unfit):
        fit(_instead(SWAP, open_disk), mended=False).holds()


def _instead(*wrong: finding.Finding) -> tuple[finding.Finding, ...]:
    named = {one.check for one in wrong}
    return (*(one for one in FIT if one.check not in named), *wrong)


FREED = finding.failed("freed-memory", code="freed-memory-kept", detail="init_on_free")
SWAP = finding.failed("swap", code="swap-on", detail="/dev/b")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (_instead(FREED), "restart-needed"),
        (_instead(FREED, SWAP), "box-not-fit"),
        (_instead(SWAP), "box-not-fit"),
        (_instead(finding.skipped("swap", "not-running")), "box-not-fit"),
        ((), "box-not-fit"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedies(
    found: tuple[finding.Finding, ...], code: str
) -> None:
    with pytest.raises(Fault, match=code) as caught:
        fit(found).holds()
    assert isinstance(caught.value, Unfit)
    wrong = [one for one in found if one.code]
    assert all(one.detail in caught.value.diagnosis for one in wrong)
