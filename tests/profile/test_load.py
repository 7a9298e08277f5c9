"""From disk: the right file, of the right owner, saying the right name."""

from pathlib import Path

import pytest

from sdbox_agent.profile import load, schema
from sdbox_agent.state.trusted import FileRefused
from tests.fuzz.fuzz_profile import BOX, PROFILE, SENSOR

PROFILES = Path(__file__).parents[2] / "firmware_profiles"


def test_a_profile_is_found_in_the_first_directory_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(PROFILE)
    assert load.load_profile("x", [PROFILES, tmp_path]).name == "x"
    (tmp_path / "virtual.toml").write_bytes(PROFILE.replace(b'"x"', b'"virtual"'))
    assert load.load_profile("virtual", [tmp_path, PROFILES]).model == "X"


@pytest.mark.parametrize(
    ("data", "line", "word"),
    [
        (PROFILE.replace(b'"x"', b'"y"'), 0, "name"),
        (PROFILE.replace(b"elan", b"Elan"), 5, "sensor"),
        (b"\xff", 1, "UTF-8"),
    ],
)
def test_what_is_wrong_is_told_as_file_line_and_reason(
    tmp_path: Path, data: bytes, line: int, word: str
) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(data)
    with pytest.raises(FileRefused) as caught:
        load.load_profile("x", [tmp_path])
    error = caught.value
    assert (error.code, error.file, error.line) == ("profile-invalid", str(path), line)
    assert word in error.reason
    assert error.diagnosis.startswith(f"{path}:{line}:" if line else f"{path}: ")


def test_no_profile_a_symlink_and_a_foreign_mode_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to(PROFILES / "virtual.toml")
    (tmp_path / "dangling.toml").symlink_to(tmp_path / "none")
    (tmp_path / "open.toml").write_bytes(PROFILE)
    (tmp_path / "open.toml").chmod(0o666)
    for name in ("none", "link", "dangling", "open"):
        with pytest.raises(FileRefused, match=r"^profile-invalid$"):
            load.load_profile(name, [tmp_path])


def test_box_toml_is_read_or_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"^config-invalid$"):
        load.load_box(tmp_path)
    (tmp_path / load.BOX_FILE).write_bytes(BOX)
    assert load.load_box(tmp_path).box == "box-test-01"
    (tmp_path / load.BOX_FILE).write_bytes(BOX + b"port = 1\n")
    with pytest.raises(FileRefused) as caught:
        load.load_box(tmp_path)
    assert caught.value.line == 9


def test_a_box_has_a_sensor_whose_resolution_is_known(tmp_path: Path) -> None:
    profile = schema.parse_profile(PROFILE)
    inside = tmp_path / "sensors"
    inside.mkdir()
    (inside / "elan.toml").write_bytes(SENSOR)
    assert load.load_sensor(profile, [tmp_path, PROFILES]).ppmm == 19.7
    with pytest.raises(FileRefused) as caught:
        load.load_sensor(profile, [PROFILES])
    assert caught.value.reason.startswith("ppmm: not known")
    with pytest.raises(FileRefused, match=r"^profile-invalid$"):
        load.load_sensor(profile, [])


def test_check_reads_a_profile_with_all_it_names_or_one_of_those(tmp_path: Path) -> None:
    assert load.check(PROFILES / "virtual.toml", ()).name == "virtual"
    assert load.check(PROFILES / "sensors/elan.toml", ()).name == "elan"
    (tmp_path / "x.toml").write_bytes(PROFILE)
    with pytest.raises(FileRefused) as caught:
        load.check(tmp_path / "x.toml", (PROFILES,))
    assert caught.value.reason.startswith("ppmm")
