import json
from pathlib import Path

import pytest
from PIL import Image

from hil.calibrate import decisions
from hil.calibrate.__main__ import main


@pytest.mark.parametrize("wrong", [["--fingers", "6"], ["--fingers", "9"], ["--impressions", "3"]])
def test_too_little_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(wrong)


@pytest.mark.rig
def test_eight_fingers_are_calibrated_on_and_the_second_run_only_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--fingers", "8", "--impressions", "4", "--block", "2", "--decisions", "8"]
    where = ["--real", str(tmp_path / "none"), "--folder", str(tmp_path), "--processes", "2"]
    main([*few, *where])
    printed = capsys.readouterr().out
    assert "THRESHOLD_FMR_1E_4" in printed
    assert "too few to name a rate by" in printed
    found = json.loads((tmp_path / "calibration.json").read_text("utf-8"))
    assert [row["fmr"] for row in found["thresholds"]] == [1e-2, 1e-3, 1e-4]
    assert found["kinds"][0]["kind"] == "virtual"
    assert found["kinds"][0]["people"] == 4
    with Image.open(tmp_path / "calibration.png") as image:
        assert image.format == "PNG"
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert {path.parent.name for path in made} >= {decisions.key()}
    main([*few, *where])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")} == made
    assert json.loads((tmp_path / "calibration.json").read_text("utf-8")) == found
