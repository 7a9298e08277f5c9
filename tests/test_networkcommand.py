"""`sdbox-agent network-sheet`, as a person at a box runs it."""

import os
import sys
from pathlib import Path

import msgspec
import pytest

from hil.net.process import Process, Unit
from hil.net.topology import UPLINK, Topology
from sdbox_agent import cli
from sdbox_agent.paths import Paths
from sdbox_agent.profile import schema
from sdbox_agent.provision.doctor import look
from sdbox_agent.provision.walls import walls_of
from sdbox_agent.tunnel.killswitch import ruleset
from tests.fuzz.fuzz_profile import BOX, LAN

SETTINGS = BOX + LAN.replace(b'"eth0", "enx00e04c680001"', f'"{UPLINK}"'.encode())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    config = Paths(tmp_path).config
    config.mkdir(parents=True)
    (config / "box.toml").write_bytes(SETTINGS)
    return tmp_path


def test_it_prints_the_settings_where_no_rules_are_to_be_seen(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["--root", str(root), "--language", "en", "network-sheet"]) == 0
    assert "from its settings" in capsys.readouterr().out
    assert cli.main(["--root", str(root), "network-sheet"]) == 0
    assert "ses réglages" in capsys.readouterr().out
    assert cli.main(["--root", str(root), "network-sheet", "--json"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["source"] == "settings"


def test_it_prints_the_settings_where_there_is_no_nft(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(look, "NFT", "/nonexistent/nft")
    assert cli.main(["--root", str(root), "--language", "en", "network-sheet"]) == 0
    assert "from its settings" in capsys.readouterr().out


@pytest.mark.rig
def test_root_sees_the_rules_that_stand_and_hears_when_they_are_others(root: Path) -> None:
    def sheet(topology: Topology) -> tuple[int | None, str]:
        output = root / "out"
        output.unlink(missing_ok=True)
        process = Process(
            Unit(
                argv=[
                    *(sys.executable, "-m", "sdbox_agent", "--root", str(root)),
                    *("--language", "en", "network-sheet"),
                ],
                network=topology.box,
                output=output,
            )
        )
        assert process.wait(60)
        return process.status, output.read_text()

    with Topology() as topology:
        assert "from its settings" in sheet(topology)[1]  # none stand
        topology.box.nft(ruleset(walls_of(schema.parse_box(SETTINGS))))
        assert sheet(topology)[0] == 0
        assert "from the rules that stand" in sheet(topology)[1]
        topology.box.nft("insert rule inet sdbox output accept")
        status, said = sheet(topology)
        assert status == 1
        assert "walls-missing" in said
