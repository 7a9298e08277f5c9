"""What the kernel tells of the walls: standing, touched, asleep or gone."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdbox_agent.errors import DecodeError
from sdbox_agent.tunnel import standing
from sdbox_agent.tunnel.netlink import Reply, attribute, nested, text

INET, NETDEV = 1, 5
DROP, ACCEPT = bytes(4), b"\0\0\0\1"


def reply(family: int, *attributes: bytes) -> Reply:
    return Reply(0, 0, 1, bytes([family, 0, 0, 9]) + b"".join(attributes))


def table(family: int, flags: bytes = bytes(4), name: str = "sdbox") -> Reply:
    return reply(family, text(1, name), attribute(2, flags), attribute(4, b"handle-t"))


def chain(family: int, name: str, policy: bytes | None = None, handle: bytes = b"h") -> Reply:
    rest = b"" if policy is None else attribute(5, policy)
    return reply(family, text(1, "sdbox"), attribute(2, handle), text(3, name), rest)


def rule(family: int, name: str, handle: bytes) -> Reply:
    return reply(family, text(1, "sdbox"), text(2, name), attribute(3, handle))


def verdict(code: int, chain: bytes = b"leaving\0") -> bytes:
    """An expression that ends a rule, as the kernel words it."""
    told = attribute(1, code.to_bytes(4, "big", signed=True)) + attribute(2, chain)
    data = attribute(1, bytes(4)) + nested(2, nested(2, told))
    return nested(1, text(1, "immediate") + nested(2, data))


def hooked(name: str, *expressions: bytes) -> Reply:
    return reply(NETDEV, text(1, "sdbox"), text(2, name), nested(4, *expressions))


JUMP = verdict(-3)
TABLES = [table(INET), table(NETDEV), table(2, name="filter"), table(2)]
CHAINS = [
    *(chain(INET, name, DROP) for name in ("input", "output", "forward")),
    chain(NETDEV, "leaving"),
    chain(NETDEV, "egress-eth0", DROP),
    reply(2, text(1, "filter"), text(3, "input")),
]
RULES = [
    rule(INET, "output", b"1"),
    rule(NETDEV, "leaving", b"2"),
    hooked("egress-eth0", JUMP),
]


def test_walls_that_stand_are_seen_with_their_devices() -> None:
    found = standing.read(TABLES, CHAINS, RULES)
    assert found is not None
    assert found.devices == {"eth0"}
    assert found == standing.read(TABLES, CHAINS, RULES)


@pytest.mark.parametrize("missing", range(4))
def test_without_one_of_their_chains_they_do_not_stand(missing: int) -> None:
    assert standing.read(TABLES, CHAINS[:missing] + CHAINS[missing + 1 :], RULES) is None


@pytest.mark.parametrize(
    "tables", [[], TABLES[:1], TABLES[1:], [table(INET, b"\0\0\0\1"), TABLES[1]]]
)
def test_without_a_table_or_with_one_asleep_they_do_not_stand(tables: list[Reply]) -> None:
    assert standing.read(tables, CHAINS, RULES) is None


def test_a_chain_that_accepts_by_default_is_no_wall() -> None:
    assert standing.read(TABLES, [chain(INET, "input", ACCEPT), *CHAINS[1:]], RULES) is None


@pytest.mark.parametrize(
    ("chains", "rules"),
    [
        ([chain(INET, "input", DROP, b"new"), *CHAINS[1:]], RULES),
        (CHAINS, [RULES[0], RULES[2]]),
        (CHAINS, [*RULES, rule(INET, "forward", b"3")]),
        (CHAINS, [rule(INET, "output", b"9"), *RULES[1:]]),
    ],
)
def test_whatever_is_remade_added_or_missing_has_other_words(
    chains: list[Reply], rules: list[Reply]
) -> None:
    before, after = standing.read(TABLES, CHAINS, RULES), standing.read(TABLES, chains, rules)
    assert before is not None
    assert after is not None
    assert before.words != after.words


def test_other_tables_other_chains_and_hooks_are_none_of_its_words() -> None:
    before = standing.read(TABLES, CHAINS, RULES)
    after = standing.read(
        TABLES,
        [*CHAINS, chain(NETDEV, "egress-eth1", DROP), chain(INET, "mine")],
        [*RULES, rule(INET, "mine", b"4"), hooked("egress-eth1", JUMP)],
    )
    assert before is not None
    assert after is not None
    assert before.words == after.words
    assert after.devices == {"eth0", "eth1"}


@pytest.mark.parametrize(
    ("policy", "rules"),
    [
        (DROP, []),
        (ACCEPT, [[JUMP]]),
        (DROP, [[verdict(1)], [JUMP]]),  # NF_ACCEPT before it
        (DROP, [[verdict(1)]]),
        (DROP, [[verdict(-3, b"leave\0")]]),
        (DROP, [[JUMP, verdict(1)]]),
        (DROP, [[]]),
        (DROP, [[nested(1, text(1, "counter"))]]),
    ],
)
def test_a_hook_that_says_anything_else_is_none(policy: bytes, rules: list[list[bytes]]) -> None:
    chains = [*CHAINS[:4], chain(NETDEV, "egress-eth0", policy)]
    told = [*RULES[:2], *(hooked("egress-eth0", *each) for each in rules)]
    found = standing.read(TABLES, chains, told)
    assert found is not None
    assert found.devices == frozenset()


def test_a_generation_is_a_number() -> None:
    assert standing.generation(reply(0, attribute(1, b"\0\0\1\2"))) == 258
    with pytest.raises(DecodeError):
        standing.generation(reply(0, attribute(1, b"\1")))


def test_a_message_cut_short_is_refused() -> None:
    with pytest.raises(DecodeError):
        standing.read([Reply(0, 0, 1, b"\1")], [], [])


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    for tables, chains, rules in (([body], [], []), ([], [body], []), ([], [], [body])):
        with contextlib.suppress(DecodeError):
            standing.read(*([Reply(0, 0, 1, b) for b in part] for part in (tables, chains, rules)))
