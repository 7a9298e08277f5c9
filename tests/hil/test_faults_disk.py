"""Nothing more can be written, or no descriptor is left: closed, told, and recovered.

The limits are set on the running core (prlimit(2)): a write then stops half-way, as on a full disk.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.scenarios import session
from sdbox_agent import errors
from sdbox_agent.audit import outbox
from sdbox_agent.state import store
from tests.hil.fault_bench import Bench, opened

pytestmark = pytest.mark.rig


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with opened(one=3) as one:
        yield one


@pytest.fixture(autouse=True)
def tidy(bench: Bench) -> Iterator[None]:
    yield
    bench.tidy()


@contextlib.contextmanager
def limited(bench: Bench, what: str, most: int) -> Iterator[None]:
    """The core may have no more of that, for a while."""
    core = bench.rig.box.pid("sdbox-agent")
    _limit(core, what, f"{most}:")
    try:
        yield
    finally:
        limits = dict(zip(("nofile", "fsize"), _limits(core), strict=True))
        _limit(core, what, f"{limits[what]}:")


def _limits(pid: int) -> tuple[str, str]:
    """The hard ones: of descriptors, and of a file's bytes."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    hard = {line[:26].strip(): line[26:].split()[1] for line in lines}
    return hard["Max open files"], hard["Max file size"]


def _limit(pid: int, what: str, value: str) -> None:
    """As the core's own user: root need not have the right to (CAP_SYS_RESOURCE)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    user, group = (
        next(line.split()[1] for line in lines if line.startswith(name)) for name in ("Uid", "Gid")
    )
    command = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups"]
    subprocess.run([*command, "prlimit", "--pid", str(pid), f"--{what}={value}"], check=True)


def test_a_disk_that_takes_no_more_closes_the_session_and_opens_again_when_it_does(
    bench: Bench,
) -> None:
    """Fault 91, and 56 as the kernel has it: half a line is written, then no more."""
    bench.good()
    record_bytes = bench.audit.stat().st_size
    with limited(bench, "fsize", record_bytes + 20):
        bench.rig.operator.insert(bench.holder().card)
        ended = bench.watch.state("spent", "broken", "open", "scanning")
        assert (ended.state, ended.code) == ("spent", "disk-failed")
        assert session.residue(bench.rig) == []
        assert bench.audit.stat().st_size == record_bytes, "the half line was taken back"
    bench.tidy()
    bench.good()
    outbox.verify_file(bench.audit)
    assert not (bench.audit.parent / (store.NAME + ".new")).exists()


def test_a_core_without_descriptors_closes_the_session_and_opens_again_when_it_has_some(
    bench: Bench,
) -> None:
    bench.good()
    core, holder = bench.rig.box.pid("sdbox-agent"), bench.holder()
    held = {int(path.name) for path in Path(f"/proc/{core}/fd").iterdir()}
    with limited(bench, "nofile", min(set(range(len(held) + 1)) - held)):  # not one more
        bench.rig.operator.insert(holder.card)
        ended = bench.watch.state("spent", "broken", "scanning")
        if ended.state == "scanning":  # what it holds is enough so far
            if not ended.waits:
                bench.watch.until(lambda view: view.waits, "prompt")
            touch = holder.person.touch(holder.person.positions[0], next(bench.rig.box.touches))
            bench.rig.operator.lay(touch.pixels, asked=False)
            ended = bench.watch.state("spent", "broken", "open")
        assert ended.state in {"spent", "open"}
        assert ended.code is None or ended.code in errors.table()
    bench.tidy()
    bench.good()
    assert bench.rig.box.pid("sdbox-agent") == core, "it went on by itself"
    outbox.verify_file(bench.audit)
