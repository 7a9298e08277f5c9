"""`sdbox-agent profile`: what each act prints, and how it ends."""

import json
import shutil
from pathlib import Path

import pytest

from sdbox_agent import cli, profilecommand
from sdbox_agent.paths import Paths
from sdbox_agent.profile import load
from sdbox_agent.profile.usbrules import UsbRules
from tests.profile.test_machine import put, usb
from tests.provision.setup.machine_double import KEYBOARD, FakeUsb

SHIPPED = Path(__file__).parents[1] / "firmware_profiles"
FIELD = "wyse-5070-scr3310-u4000"


@pytest.fixture
def box(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path)
    (paths.config / "profile.d").mkdir(parents=True)
    (paths.config / "box.toml").write_text(
        f'v = 1\nbox = "b"\nprofile = "{FIELD}"\n[centre]\nhost = "centre.test"\n'
    )
    return paths


def wyse(root: Path, *plugged: str) -> None:
    put(root, "class/dmi/id/sys_vendor", "Dell Inc.\n")
    put(root, "class/dmi/id/product_name", "Wyse 5070 Thin Client\n")
    for number, usb_id in enumerate(plugged, 1):
        usb(root, f"1-{number}", *usb_id.split(":"))


def test_list_names_every_profile_and_why_a_box_can_t_have_one(run) -> None:
    code, out, _ = run("profile", "list")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert set(lines) == {path.stem for path in SHIPPED.glob("*.toml")}
    assert "only in the rig" in lines["virtual"]
    assert "resolution is not known" in lines["wyse-5070-scr3310-u4500"]
    assert "--" not in lines[FIELD]
    entries = json.loads(run("profile", "list", "--json")[1])["profiles"]
    assert {entry["name"]: entry["refused"] for entry in entries}[FIELD] == ""


def test_a_file_that_is_wrong_does_not_hide_the_others(run, box: Paths) -> None:
    own = box.config / "profiles"
    own.mkdir()
    (own / "wrong\x1b[2J.toml").write_text("v = 2\n")
    code, out, err = run("profile", "list")
    assert (code, err) == (cli.FAILED, "")
    assert "wrong?[2J.toml:1: v: " in out
    assert "\x1b" not in out
    assert len(out.splitlines()) == len(list(SHIPPED.glob("*.toml"))) + 1
    code, out, _ = run("profile", "list", "--json")
    assert code == cli.FAILED
    assert FIELD in {entry["name"] for entry in json.loads(out)["profiles"]}


def test_list_of_nothing_is_nothing(run, tmp_path: Path) -> None:
    assert run("profile", "list", "--profiles", str(tmp_path / "none"))[:2] == (0, "")


def test_show_says_what_this_box_goes_by_and_where_it_is_from(run, box: Paths) -> None:
    drop_in = box.config / "profile.d/50-cards.toml"
    drop_in.write_text('[card]\nkinds = ["piv-pin"]\n')
    code, out, _ = run("profile", "show", "--origin")
    assert code == 0
    assert f'card.kinds = ["piv-pin"]  # {drop_in}:2' in out
    assert f'sensor = "uareu-4000"  # {SHIPPED / FIELD}.toml:7' in out
    assert "tpm.version = null  # default" in out
    assert "#" not in run("profile", "show")[1]
    assert 'name = "virtual"' in run("profile", "show", "virtual")[1]
    document = json.loads(run("profile", "show", "--origin", "--json")[1])
    assert document["origins"]["card.kinds"] == f"{drop_in}:2"
    assert document["origins"]["tpm.version"] == "default"
    assert document["sensor"]["name"] == "uareu-4000"
    assert "origins" not in json.loads(run("profile", "show", "--json")[1])


def test_show_of_none_that_there_is_is_an_error(run, box: Paths) -> None:
    code, _, err = run("profile", "show", "nothing")
    assert (code, "no such profile" in err) == (cli.FAILED, True)
    (box.config / "box.toml").unlink()
    assert "config-invalid" in run("profile", "show")[2]


def test_check_without_a_file_is_of_all_that_the_box_goes_by(run, box: Paths) -> None:
    assert run("profile", "check")[:2] == (
        0,
        f"{FIELD}: Dell Wyse 5070, Identiv SCR3310, U.are.U 4000\n",
    )
    assert json.loads(run("profile", "check", "--json")[1])["name"] == FIELD
    drop_in = box.config / "profile.d/50.toml"
    drop_in.write_text("[reader]\npad = 'yes'\n")
    code, _, err = run("profile", "check")
    assert code == cli.FAILED
    assert f"{drop_in}:2: reader.pad:" in err
    assert "write true or false" in err
    assert "profile-invalid" in err


def test_check_of_a_file_may_be_of_a_sensor(run) -> None:
    code, out, _ = run("profile", "check", str(SHIPPED / "sensors/elan.toml"))
    assert (code, "ElanTech" in out) == (0, True)


def test_any_name_and_any_file_has_its_error(run, box: Paths, tmp_path: Path) -> None:
    piece = box.config / "profile.d/50.toml"
    piece.write_text("")
    for words, said in (
        (("show", "a" * 300), "no such profile"),
        (("check", f"{tmp_path}/{'a' * 300}.toml"), "no such profile"),
        (("check", str(tmp_path)), "its name ends in .toml"),
        (("check", "/"), "its name ends in .toml"),
        (("check", str(piece)), "without a file"),
        (("install", str(tmp_path / ("a" * 300))), "nothing was changed"),
    ):
        code, out, err = run("profile", *words)
        assert (code, out, said in err) == (cli.FAILED, "", True), err


def test_what_a_file_says_of_itself_is_no_command_of_a_terminal(run, tmp_path: Path) -> None:
    text = (SHIPPED / f"{FIELD}.toml").read_text()
    path = tmp_path / "a\x1b]0;x.toml"
    path.write_text('v = 1\n"\\u001b[31mkey" = 1\n')
    code, _, err = run("profile", "check", str(path))
    assert (code, "?[31mkey: unknown key" in err, "\x1b" in err) == (cli.FAILED, True, False)
    for mark in ("\\u009b31m", "\\u202e", "\\u2028"):
        path.write_text(text.replace('model = "', f'model = "{mark}'))
        code, out, err = run("profile", "check", str(path))
        assert (code, out, "model:" in err) == (cli.FAILED, "", True)


def test_detect_finds_the_profile_of_the_machine(run, tmp_path: Path) -> None:
    wyse(tmp_path, "04e6:5116", "05ba:0007", "0781:5567")
    code, out, _ = run("profile", "detect")
    assert code == 0
    assert "this machine: Dell Inc. Wyse 5070 Thin Client" in out
    assert f"{FIELD}: fits" in out
    assert "not let in by it: 0781:5567" in out
    assert "virtual" not in out
    found = json.loads(run("profile", "detect", "--json")[1])
    assert found["fits"] == [FIELD]
    assert found["machine"]["usb"] == ["04e6:5116", "05ba:0007", "0781:5567"]


def test_detect_says_what_is_missing_and_fails(run, tmp_path: Path) -> None:
    wyse(tmp_path, "04e6:5116", "05ba:000a")
    code, out, _ = run("profile", "detect")
    assert code == cli.FAILED
    assert "wyse-5070-scr3310-u4500: the sensor’s resolution is not known" in out  # noqa: RUF001
    assert f"{FIELD}: its sensor is not plugged in" in out


def test_detect_tells_what_the_board_has_otherwise(run, tmp_path: Path) -> None:
    tree = "firmware/devicetree/base"
    put(tmp_path, f"{tree}/compatible", b"raspberrypi,4-model-b\0brcm,bcm2711\0")
    put(tmp_path, "class/tpm/tpm0/tpm_version_major", "2\n")
    code, out, _ = run("profile", "detect")
    assert code == cli.FAILED
    assert "nothing is plugged in" in out
    assert "raspberry-pi-4-scr3310-u4000: its reader is not plugged in" in out
    assert "the kernel sees one" in out


def test_in_french_too(run, box: Paths, tmp_path: Path) -> None:
    """All but `file:line: reason`, which is for whoever edits the file, as a compiler's."""
    french = ("--language", "fr")
    lines = run("profile", "list", *french)[1]
    assert "seulement au banc d’essai" in lines  # noqa: RUF001
    assert "la résolution du capteur est inconnue" in lines
    assert "cette machine: une machine sans nom" in run("profile", "detect", *french)[1]
    wyse(tmp_path, "04e6:5116", "0781:5567")
    told = run("profile", "detect", *french)[1]
    assert f"{FIELD}: son capteur n’est pas branché" in told  # noqa: RUF001
    put(tmp_path, "firmware/devicetree/base/compatible", b"raspberrypi,4-model-b\0")
    put(tmp_path, "class/tpm/tpm0/tpm_version_major", "2\n")
    assert "qu’il n’y a pas de TPM, le noyau en voit un" in run("profile", "detect", *french)[1]  # noqa: RUF001
    out = run("profile", "install", str(newer(tmp_path / "new", 2)), *french)[1]
    assert out == "profils, version 2; l’agent les prendra à son prochain démarrage\n"  # noqa: RUF001


def test_a_machine_of_nobodys_has_the_nearest_named(run) -> None:
    code, out, _ = run("profile", "detect")
    assert (code, "another board" in out) == (cli.FAILED, True)


def newer(where: Path, version: int = 2) -> Path:
    shutil.copytree(SHIPPED, where)
    (where / "VERSION").write_text(f"{version}\n")
    return where


def test_a_newer_set_is_installed_used_and_given_back(run, box: Paths, tmp_path: Path) -> None:
    for version in (2, 3):
        new = newer(tmp_path / f"new{version}", version)
        path = new / f"{FIELD}.toml"
        path.write_text(path.read_text().replace('model = "', f'model = "V{version} '))
        code, out, _ = run("profile", "install", str(new))
        assert (code, f"version {version}" in out) == (0, True)
        assert f'model = "V{version} ' in run("profile", "show")[1]
    assert json.loads(run("profile", "revert", "--json")[1]) == {"version": 2}
    assert 'model = "V2 ' in run("profile", "show")[1]


def test_a_set_that_this_box_could_not_run_from_is_refused(run, box: Paths, tmp_path: Path) -> None:
    good = newer(tmp_path / "good", 2)
    assert run("profile", "install", str(good))[0] == 0
    bad = newer(tmp_path / "bad", 3)
    sensor = bad / "sensors/uareu-4000.toml"
    sensor.write_text(sensor.read_text().replace("ppmm = 20.157 # 512 dpi\n", ""))
    code, _, err = run("profile", "install", str(bad))
    assert (code, "ppmm: not known" in err) == (cli.FAILED, True)
    assert run("profile", "check")[0] == 0
    (box.config / "box.toml").unlink()
    assert run("profile", "install", str(bad))[0] == 0, "no box yet: nothing that could not run"


def test_a_set_must_hold_what_this_box_needs_once_the_one_before_is_gone(
    run, box: Paths, tmp_path: Path
) -> None:
    """What only the installed set has goes with it; what the program has stays."""
    (box.config / "box.toml").write_text(
        'v = 1\nbox = "b"\nprofile = "own"\n[centre]\nhost = "centre.test"\n'
    )
    first = newer(tmp_path / "first", 2)
    text = (SHIPPED / f"{FIELD}.toml").read_text().replace(FIELD, "own", 1)
    (first / "own.toml").write_text(text)
    assert run("profile", "install", str(first))[0] == 0
    assert run("profile", "check")[0] == 0
    code, _, err = run("profile", "install", str(newer(tmp_path / "second", 3)))
    assert (code, "no such profile" in err) == (cli.FAILED, True)
    assert run("profile", "revert")[0] == cli.FAILED, "nor has the program's own set that profile"
    assert run("profile", "check")[0] == 0


def test_a_set_need_not_hold_what_the_programs_own_does(run, box: Paths, tmp_path: Path) -> None:
    new = newer(tmp_path / "new", 2)
    (new / f"{FIELD}.toml").unlink()
    assert run("profile", "install", str(new))[0] == 0
    assert run("profile", "check")[0] == 0
    code, out, _ = run("profile", "revert", "--json")
    assert (code, json.loads(out)) == (0, {"version": int((SHIPPED / "VERSION").read_text())})


def test_what_can_t_be_written_is_told_and_nothing_has_changed(run, tmp_path: Path) -> None:
    new = newer(tmp_path / "new")
    code, _, err = run("profile", "install", str(new))  # there is no etc/sdbox to put it in
    assert (code, "nothing was changed" in err) == (cli.FAILED, True)
    assert run("profile", "revert")[0] == cli.FAILED


def test_a_revert_that_the_system_refuses_is_told(
    run, box: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (2, 3):
        run("profile", "install", str(newer(tmp_path / f"new{version}", version)))
    monkeypatch.setattr(profilecommand.sets, "_EXCHANGE", 1 << 30)
    code, _, err = run("profile", "revert")
    assert (code, "nothing was changed" in err) == (cli.FAILED, True)


def test_rules_are_printed_or_written_whole(run, box: Paths) -> None:
    code, text, _ = run("profile", "rules")
    assert code == 0
    assert 'ATTR{idVendor}=="04e6", ATTR{idProduct}=="5116"' in text
    assert json.loads(run("profile", "rules", "--json")[1])["rules"] == text
    assert not box.usb_rules.exists()
    for words in ([], ["--json"]):
        code, out, _ = run("profile", "rules", "--install", *words)
        assert (code, str(box.usb_rules) in out) == (0, True)
    assert box.usb_rules.read_text() == text
    assert box.usb_rules.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in box.usb_rules.parent.iterdir()] == [box.usb_rules.name]


def test_rules_are_put_in_force_where_udev_rules_and_take_nothing_away(
    run, box: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = FakeUsb([KEYBOARD], {KEYBOARD.port: ("keyboard",)})
    monkeypatch.setattr(profilecommand, "UsbMachine", lambda _: there)
    there.read = lambda: box.usb_rules.read_bytes() if box.usb_rules.exists() else None
    code, _, err = run("profile", "rules", "--install")
    assert (code, "usb-in-use" in err, KEYBOARD.usb_id in err) == (1, True, True)
    assert not box.usb_rules.exists()
    there.devices = []
    whole = load.whole(FIELD, box, SHIPPED)
    there.rules = UsbRules(whole.profile, whole.sensor)
    code, out, _ = run("profile", "rules", "--install")
    assert (code, "in force" in out, there.shut) == (0, True, True)
    assert "in force" in run("profile", "rules", "--install")[1]


def test_rules_that_can_t_be_written_are_told_and_leave_the_old_ones(run, box: Paths) -> None:
    box.usb_rules.parent.mkdir(parents=True)
    box.usb_rules.write_text("old")
    box.usb_rules.with_name(box.usb_rules.name + ".new").mkdir()
    code, _, err = run("profile", "rules", "--install")
    assert code == 1
    assert "nothing was changed" in err
    assert box.usb_rules.read_text() == "old"
