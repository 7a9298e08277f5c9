"""The gateway as it runs at the centre: what a reload keeps, and who may be beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_centre import cli
from sdbox_centre.gateway_process import lock
from tests.sdbox_centre import world as w
from tests.sdbox_centre.listing import unlisted
from tests.sdbox_centre.rig import in_own_network
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.world import World


@pytest.mark.rig
def test_a_gateway_reloaded_under_live_tunnels() -> None:
    in_own_network("tests.sdbox_centre.rig_gateway", timeout_s=240)


def test_the_process_that_may_change_the_network_loads_no_web_server_and_no_database() -> None:
    asked = "import sys, sdbox_centre.gateway_process; print(*sys.modules)"
    bare = {name: said for name, said in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", asked], env=bare, capture_output=True, text=True, check=True
    )
    assert "sdbox_centre.gateway_process" in done.stdout.split()
    assert not {"fastapi", "uvicorn", "sqlalchemy", "sqlite3"} & set(done.stdout.split())


def test_settings_are_checked_before_a_reload(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    _, gateway = settings(world)
    project = world.root / "projects" / f"{w.PROJECT}.toml"
    unlisted(project)
    right = project.read_text()
    check = ["gateway-check", "--config", gateway]
    cli.main(check)
    for spoil in (
        lambda: project.write_text(right + "nonsense = 1\n"),
        lambda: project.write_text(right.replace("/29", "/31")),
        lambda: (world.root / "roster.toml").write_text("nonsense"),
        lambda: (world.root / "cards.crl").write_bytes(b"nonsense"),
        lambda: Path(gateway).write_text("lease_s = nonsense"),
    ):
        spoil()
        with pytest.raises(SystemExit, match=r"^[12]$"):
            cli.main(check)
        project.write_text(right)
        world.members.write()
    assert capsys.readouterr().err


def test_what_is_locked_is_locked_for_another(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gateway.sock.lock"):
        held = lock(path)
        assert not os.get_inheritable(held)
        with pytest.raises(Fault, match=r"^gateway-running$"):
            lock(path)
        os.close(held)
        os.close(lock(path))
