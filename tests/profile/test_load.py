"""From disk: the right file, of the right owner, saying the right name."""

from pathlib import Path

import pytest

from sdbox_agent.paths import Paths
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


# -- as a box has it -------------------------------------------------------------------------------


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    for name in ("profiles", "profile.d"):
        (tmp_path / "etc/sdbox" / name).mkdir(parents=True)
    return Paths(tmp_path)


def refused(name: str, paths: Paths, *, rig: bool | None = None) -> FileRefused:
    with pytest.raises(FileRefused, match=r"^profile-invalid$") as caught:
        load.whole(name, paths, PROFILES, rig=rig)
    return caught.value


FIELD = "wyse-5070-scr3310-u4000"


def test_a_box_goes_by_its_profile_with_what_was_laid_over_it(paths: Paths) -> None:
    (paths.config / "profile.d/20-b.toml").write_text('[card]\nkinds = ["piv-pin"]\n')
    (paths.config / "profile.d/10-a.toml").write_text('[card]\nkinds = ["piv-free"]\n')
    (paths.config / "profile.d/README").write_text("not a drop-in")
    whole = load.whole(FIELD, paths, PROFILES, rig=False)
    assert [kind.name for kind in whole.kinds] == ["piv-pin"]
    assert whole.sensor.name == "uareu-4000"
    origin = whole.layered.origin(("card", "kinds"))
    assert (Path(origin.file).name, origin.line) == ("20-b.toml", 2)
    assert whole.layered.origin(("sensor",)).file == str(PROFILES / f"{FIELD}.toml")


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("[card]\nkind = 1", 2, "card.kind: unknown key"),
        ("[network]\nwireguard = 'fast'", 2, "network.wireguard"),
        ("name = 'y'", 1, "name: only the base profile"),
        ("\xff", 1, "not"),
    ],
)
def test_a_wrong_drop_in_is_told_by_file_and_line(
    paths: Paths, text: str, line: int, word: str
) -> None:
    path = paths.config / "profile.d/50.toml"
    path.write_bytes(text.encode("latin-1"))
    error = refused(FIELD, paths)
    assert (error.file, error.line) == (str(path), line)
    assert word in error.reason


def test_a_drop_in_is_to_be_trusted_as_any_other_file(paths: Paths) -> None:
    path = paths.config / "profile.d/50.toml"
    path.write_text("")
    path.chmod(0o666)
    assert refused(FIELD, paths).file == str(path)
    path.unlink()
    path.symlink_to(PROFILES / "virtual.toml")
    assert refused(FIELD, paths).file == str(path)


def test_drop_ins_are_not_without_end_and_may_be_none(paths: Paths) -> None:
    for number in range(load.MAX_DROP_INS + 1):
        (paths.config / f"profile.d/{number}.toml").write_text("")
    assert refused(FIELD, paths).reason.startswith("more than 64 files")
    assert load.drop_ins(Paths(paths.root / "none")) == ()


def test_a_file_where_the_drop_ins_should_be_is_refused(paths: Paths) -> None:
    (paths.config / "profile.d").rmdir()
    (paths.config / "profile.d").write_text("")
    assert refused(FIELD, paths).reason == "can't be read"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ('[reader]\nnames = ["Virtual PCD"]', 2, "reader.names: vpcd"),
        ('sensor = "virtual-image"', 1, "sensor: a virtual sensor"),
        ("[card]\ntest_issuers = true", 2, "card.test_issuers"),
        ('[reader]\nusb = ["076b:5422"]', 2, "reader.usb: works at a distance"),
    ],
)
def test_no_drop_in_makes_a_box_in_the_field_take_parts_of_the_rig(
    paths: Paths, text: str, line: int, word: str
) -> None:
    path = paths.config / "profile.d/50.toml"
    path.write_text(text)
    error = refused(FIELD, paths, rig=False)
    assert (error.file, error.line) == (str(path), line)
    assert error.reason.startswith(word)
    assert load.whole(FIELD, paths, PROFILES, rig=True)


def test_the_rigs_profile_is_for_the_rig_alone(paths: Paths) -> None:
    assert load.whole("virtual", paths, PROFILES).sensor.name == "virtual-image"
    error = refused("virtual", paths, rig=False)
    assert error.file == str(PROFILES / "virtual.toml")
    assert error.reason.startswith("reader.names: vpcd")


def test_a_root_of_its_own_is_the_rigs_and_the_real_one_needs_its_mark(paths: Paths) -> None:
    assert load.is_rig(paths)
    for root in (Path("/"), Path("/usr/..")):
        assert load.is_rig(Paths(root)) == Path("/etc/sdbox/rig").exists()
    assert not load.is_marked(paths.rig_mark)
    paths.rig_mark.write_text("")
    assert load.is_marked(paths.rig_mark)
    paths.rig_mark.chmod(0o666)
    with pytest.raises(FileRefused, match=r"^profile-invalid$"):
        load.is_marked(paths.rig_mark)


def test_a_sensor_whose_resolution_is_not_known_is_shown_and_not_used(paths: Paths) -> None:
    name = "wyse-5070-scr3310-u4500"
    profile = load.load_profile(name, [PROFILES])
    assert load.find_sensor(profile, [PROFILES]).ppmm is None
    assert "ppmm: not known" in refused(name, paths).reason
    own = paths.config / "profiles/sensors"
    own.mkdir()
    text = (PROFILES / "sensors/uareu-4500.toml").read_text()
    (own / "uareu-4500.toml").write_text(text.replace("min_width", "ppmm = 20.1\nmin_width", 1))
    assert load.whole(name, paths, PROFILES).sensor.ppmm == 20.1


def test_an_installed_set_counts_if_it_is_newer_and_the_operators_own_first(paths: Paths) -> None:
    text = (PROFILES / f"{FIELD}.toml").read_text()
    paths.profile_set.mkdir()
    there = paths.profile_set / f"{FIELD}.toml"
    there.write_text(text.replace('model = "', 'model = "Newer '))
    (paths.profile_set / "VERSION").write_text("1")
    assert not load.whole(FIELD, paths, PROFILES).profile.model.startswith("Newer")
    (paths.profile_set / "VERSION").write_text("999999")
    assert load.whole(FIELD, paths, PROFILES).profile.model.startswith("Newer")
    own = paths.config / f"profiles/{FIELD}.toml"
    own.write_text(text.replace('model = "', 'model = "Own '))
    assert load.whole(FIELD, paths, PROFILES).profile.model.startswith("Own")
    assert FIELD in load.names(load.shelves(paths, PROFILES))


def test_a_disk_that_can_t_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / load.BOX_FILE).write_bytes(BOX)

    def fails(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(load.trusted, "read", fails)
    with pytest.raises(FileRefused) as caught:
        load.load_box(tmp_path)
    assert (caught.value.code, caught.value.reason) == ("config-invalid", "can't be read")
    monkeypatch.undo()
    (tmp_path / load.BOX_FILE).unlink()
    with pytest.raises(FileRefused) as caught:
        load.load_box(tmp_path)
    assert caught.value.reason == "not there"
