from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hil.finger.__main__ import main
from hil.finger.impression import impression
from hil.finger.master import Master


def test_it_writes_one_grey_png_of_500_dpi(tmp_path: Path, finger: Master) -> None:
    out = tmp_path / "out.png"
    main([str(finger.seed), str(out), "--impression", "4", "--quality", "good"])
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.mode == "L"
        assert image.info["dpi"] == pytest.approx((500, 500), abs=0.1)
        assert np.array_equal(np.asarray(image), impression(finger, 4, quality="good").pixels)


def test_it_writes_a_master(tmp_path: Path, finger: Master) -> None:
    out = tmp_path / "out.png"
    main([str(finger.seed), str(out), "--master"])
    with Image.open(out) as image:
        assert np.array_equal(np.asarray(image), 255 - finger.ridges)
