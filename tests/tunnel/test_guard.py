"""A watch on the walls: it hears of every change, and sees which of them matter."""

import errno
import select
from collections.abc import Iterator

import pytest

from hil.net.namespace import Claim, Namespace
from sdbox_agent.errors import Fault
from sdbox_agent.tunnel import nfset, standing
from sdbox_agent.tunnel.config import parse_endpoint
from sdbox_agent.tunnel.guard import Guard
from sdbox_agent.tunnel.kernel import Sets
from sdbox_agent.tunnel.killswitch import Walls, ruleset

pytestmark = pytest.mark.rig
WALLS = Walls((parse_endpoint("192.0.2.1:443"),), ("eth0",))
PATIENCE_S = 30


@pytest.fixture
def box() -> Iterator[Namespace]:
    claim = Claim()
    made = claim.namespace("box")
    made.ip("link add eth0 type veth peer name cable")
    made.nft(ruleset(WALLS))
    yield made
    claim.release()


@pytest.fixture
def guard(box: Namespace) -> Iterator[Guard]:
    made = box.run(Guard)
    yield made
    made.close()


def rung(guard: Guard) -> bool:
    heard = bool(select.select([guard.bell], [], [], PATIENCE_S)[0])
    guard.bell.hush()
    assert not select.select([guard.bell], [], [], 0)[0]
    return heard


@pytest.mark.parametrize(
    "change",
    [
        "insert rule inet sdbox output accept",
        "add rule netdev sdbox leaving accept",
        "flush chain inet sdbox output",
        "flush chain netdev sdbox leaving",
        ruleset(WALLS),
    ],
)
def test_rules_that_are_touched_have_other_words(box: Namespace, guard: Guard, change: str) -> None:
    before = guard.look()
    box.nft(change)
    assert rung(guard)
    after = guard.look()
    assert before is not None
    assert after is not None
    assert before.words != after.words


@pytest.mark.parametrize(
    "change",
    [
        "flush ruleset",
        "flush ruleset netdev",
        "delete table inet sdbox",
        "delete table netdev sdbox",
        "add table inet sdbox { flags dormant; }",
        "add chain inet sdbox input { policy accept; }",
        "flush chain inet sdbox input; delete chain inet sdbox input",
    ],
)
def test_walls_that_are_down_asleep_or_open_do_not_stand(
    box: Namespace, guard: Guard, change: str
) -> None:
    found = guard.look()
    assert found is not None
    assert guard.words() == found.words
    box.nft(change)
    assert rung(guard)
    assert guard.look() is None
    with pytest.raises(Fault, match="walls-missing"):
        guard.words()


def test_other_peoples_tables_and_our_endpoints_change_nothing_of_the_walls(
    box: Namespace, guard: Guard
) -> None:
    before = guard.look()
    sets = box.run(Sets.here)
    for change in (nfset.allow(parse_endpoint("192.0.2.9:51820")), nfset.clear()):
        sets.batch(change)
        assert rung(guard)
        assert guard.look() == before
    sets.close()
    box.nft("add table ip nat { chain post { type nat hook postrouting priority 100; }; }")
    assert rung(guard)
    assert guard.look() == before


@pytest.mark.parametrize(
    "change",
    [
        "flush chain netdev sdbox egress-eth0; delete chain netdev sdbox egress-eth0",
        "flush chain netdev sdbox egress-eth0",
        "insert rule netdev sdbox egress-eth0 accept",
        "insert rule netdev sdbox egress-eth0 arp operation request accept",
        "flush chain netdev sdbox egress-eth0; add rule netdev sdbox egress-eth0 accept",
        'add chain netdev sdbox egress-eth0 { type filter hook egress device "eth0" '
        "priority filter; policy accept; }",
    ],
)
def test_a_hook_that_is_gone_or_touched_is_seen(box: Namespace, guard: Guard, change: str) -> None:
    before = guard.look()
    assert before is not None
    assert before.devices == {"eth0"}
    box.nft(change)
    after = guard.look()
    assert after is not None
    assert (after.devices, after.words) == (frozenset(), before.words)


def test_rules_that_never_hold_still_are_no_walls(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(1000))
    monkeypatch.setattr(guard, "generation", lambda: next(numbers))
    with pytest.raises(Fault, match="walls-missing"):
        guard.look()


def test_a_kernel_that_does_not_answer_is_no_walls(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_request: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(guard._kernel, "ask", refuse)
    with pytest.raises(Fault, match="walls-missing"):
        guard.look()


def test_the_words_are_read_anew_after_any_transaction_and_only_then(
    box: Namespace, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[None] = []
    monkeypatch.setattr(
        guard, "_dump", lambda asked: looks.append(None) or Guard._dump(guard, asked)
    )
    before = guard.words()
    once = len(looks)
    assert (once > 0, guard.words(), len(looks)) == (True, before, once)
    box.nft("add table ip stranger")
    assert (guard.words(), len(looks)) == (before, 2 * once)
    box.nft("insert rule inet sdbox output accept")
    assert guard.words() != before
    assert len(looks) == 3 * once
    box.nft("flush ruleset")
    for _ in range(2):  # that they are down is not remembered either
        with pytest.raises(Fault, match="walls-missing"):
            guard.words()


def test_words_whose_age_nobody_can_tell_are_no_walls(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard.words()

    def refuse(_request: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(guard._kernel, "ask", refuse)
    with pytest.raises(Fault, match="walls-missing"):
        guard.words()


def test_the_number_of_the_last_change_grows_by_one_a_transaction(
    box: Namespace, guard: Guard
) -> None:
    before = guard.generation()
    box.nft(ruleset(WALLS))
    assert guard.generation() == before + 1
    assert standing.GENERATION.kind == 0x0A10
