"""The commands that are nobody's act. Staff's verbs: tests/sdbox_centre/staff/test_commands.py."""

import json
from pathlib import Path

import pytest

from sdbox_agent import errors
from sdbox_centre import cli
from tests.sdbox_centre.settled import settings
from tests.sdbox_centre.world import World


def test_a_centre_describes_itself_and_makes_its_key(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = settings(world)
    cli.main(["init", "--config", api])
    cli.main(["openapi", "--config", api])
    assert "/v1/hello" in json.loads(capsys.readouterr().out)["paths"]
    with pytest.raises(SystemExit, match="1"):
        cli.main(["make-otp-key", "--config", api])
    assert errors.table()["config-invalid"].sentence["en"] in capsys.readouterr().err
    Path(api).write_text('otp_key = "otp.key"\n' + Path(api).read_text())
    cli.main(["make-otp-key", "--config", api])
    assert (world.root / "otp.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SystemExit, match="1"):
        cli.main(["make-otp-key", "--config", api])  # never over another


def test_settings_that_are_not_there_are_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="1"):
        cli.main(["init", "--config", str(tmp_path / "none.toml")])
    assert errors.table()["config-invalid"].sentence["en"] in capsys.readouterr().err
