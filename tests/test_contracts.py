"""The import contracts bite: each line planted in a copy of the packages breaks the right one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("sdbox_agent", "sdbox_centre", "hil")
LAYERS = "layers of the agent"
RULES = "rule modules know no I/O, clock or randomness"
DOORS = "device libraries stay behind their doors"
WORKERS = "workers import one another never"
AGENT = "the agent knows neither rig nor centre"
CARD = "the virtual card shares no code with the card client"
CENTRE = "the centre does not need the rig"
CACHES = shutil.ignore_patterns("__pycache__")
ALL = (LAYERS, RULES, DOORS, WORKERS, AGENT, CARD, CENTRE)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of their contracts."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


def broken(house: Path) -> list[str]:
    """The contracts that do not hold there."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", LINT, str(house)],
        capture_output=True, text=True, cwd=house, check=False,
    )  # fmt: skip
    seen = dict(re.findall(r"^(.+) (KEPT|BROKEN)$", run.stdout, re.MULTILINE))
    if seen.keys() != set(ALL):  # it did not come so far, or knows a contract without a plant here
        return [run.stdout + run.stderr]
    assert (run.returncode != 0) == ("BROKEN" in seen.values())
    return [name for name in ALL if seen[name] == "BROKEN"]


# Isolated, and then the copy before all else: the packages themselves are on every path of ours.
LINT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from importlinter.cli import lint_imports_command
lint_imports_command(["--no-cache"])
"""


def test_as_it_stands_every_contract_holds(house: Path) -> None:
    assert broken(house) == []


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("sdbox_agent/session/machine.py", "import time", RULES),
        ("sdbox_agent/statements/jws.py", "import random", RULES),
        ("sdbox_agent/pki/path.py", "import socket", RULES),
        ("sdbox_agent/biometrics/comparison.py", "import os", RULES),
        ("sdbox_agent/card/piv.py", "import smartcard", RULES),
        ("sdbox_agent/card/piv.py", "from sdbox_agent.card import pcsc", RULES),  # by a detour
        ("sdbox_agent/tunnel/life.py", "import asyncio", RULES),
        ("sdbox_agent/daemon/run.py", "import smartcard", DOORS),
        ("sdbox_agent/state/store.py", "import numpy", DOORS),
        ("sdbox_agent/errors.py", "from hil import rig", AGENT),
        ("sdbox_agent/centre/wire.py", "import sdbox_centre.store", AGENT),
        ("hil/card/applet.py", "from sdbox_agent.card import tlv", CARD),
        ("hil/card/tlv.py", "from hil import box", CARD),  # by a detour
        ("sdbox_agent/workers/card.py", "from sdbox_agent.workers import finger", WORKERS),
        ("sdbox_centre/api.py", "from hil import issuing", CENTRE),
        ("sdbox_centre/access.py", "from sdbox_agent.session import machine", CENTRE),
        ("sdbox_agent/card/apdu.py", "from sdbox_agent.pki import der", LAYERS),  # sideways
        ("sdbox_agent/biometrics/hull.py", "from sdbox_agent.pki import der", LAYERS),  # upwards
        ("sdbox_agent/misc/__init__.py", "", LAYERS),  # a package that nobody declared
    ],
)
def test_a_planted_line_breaks_its_contract(
    house: Path, module: str, line: str, contract: str
) -> None:
    path = house / module
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_text((before or b"").decode() + f"\n{line}\n")
        assert contract in broken(house)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_bytes(before)
    assert path.exists() == (before is not None)
