"""The catalogue's table: every number is there, every test it names exists."""

import ast
import functools
from pathlib import Path

import pytest

from tests import faults
from tests.faults_tunnel import TUNNEL_FAULTS

ROOT = Path(__file__).parents[1]
FAULTS = faults.FAULTS | TUNNEL_FAULTS


@functools.cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_bytes())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_the_table_is_whole() -> None:
    assert list(FAULTS) == [*range(1, 56), *range(76, 86)]
    assert all(fault.what for fault in FAULTS.values())


def test_each_has_a_test() -> None:
    assert [number for number, fault in FAULTS.items() if not fault.tests] == []


@pytest.mark.parametrize("number", FAULTS)
def test_the_tests_it_names_exist(number: int) -> None:
    missing = []
    for test in FAULTS[number].tests:
        name, _, function = test.partition("::")
        if not (ROOT / name).is_file() or function not in functions(ROOT / name):
            missing.append(test)
    assert missing == []
    assert len(set(FAULTS[number].tests)) == len(FAULTS[number].tests)


def test_a_fault_named_in_a_tests_own_name_stands_in_the_table() -> None:
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        for function in functions(path):
            if function.startswith("test_fault_"):
                number = int(function.split("_")[2])
                node = f"{path.relative_to(ROOT)}::{function}"
                assert number not in FAULTS or node in FAULTS[number].tests, node
