"""OpenSC is only compared with where it did as much with the card as the box does."""

import pytest

from hil.bench_tool import ToolError, check_same_work
from hil.card.insertion import Exchange


def exchange(ins: int, sw: int = 0x9000, p2: int = 0) -> Exchange:
    return Exchange(1, 0, ins, 0, p2, 5, 2, sw, 100, 7)


def test_a_tool_that_does_less_is_not_compared_with() -> None:
    read, agreed = exchange(0xC0), exchange(0x87, p2=0x9D)
    check_same_work([read, read, read, agreed])
    for less in ([read, read, agreed], [read] * 3, [read] * 3 + [exchange(0x87, p2=0x9A)]):
        with pytest.raises(ToolError):
            check_same_work(less)
    with pytest.raises(ToolError):
        check_same_work([read] * 3 + [exchange(0x87, 0x6A80, 0x9D)])
