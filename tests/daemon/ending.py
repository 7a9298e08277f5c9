"""A core that does not start: what it says at its end."""

from pathlib import Path

from hil.box import CORE_UID
from hil.net.process import Process, Unit
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]


def refusal(root: Path, output: Path, *options: str) -> str:
    """Run one on the files of `root`, by hand; it ends with 1."""
    python = str(ROOT / ".venv/bin/python")
    core = Process(
        Unit(
            argv=[python, "-m", "sdbox_agent", "--root", str(root), "run", *options],
            uid=CORE_UID,
            environment={"PATH": "/usr/bin"},
            output=output,
            directory=ROOT,
        )
    )
    try:
        assert core.wait(PATIENCE_S), "it runs"
    finally:
        core.end()
    said = output.read_text()
    assert core.status == 1, said
    return said
