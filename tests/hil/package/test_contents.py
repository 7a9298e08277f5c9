"""What of the repository is on a box, and what never is."""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from hil.package import contents, imports

ROOT = Path(__file__).parents[3]
TRACKED = subprocess.check_output(
    ["git", "-c", f"safe.directory={ROOT}", "ls-files"], cwd=ROOT, text=True
).split("\n")[:-1]
TEXTS = {
    name: (ROOT / name).read_text()
    for name in TRACKED
    if name.startswith(("sdbox_agent/", "sdbox_centre/")) and name.endswith(".py")
}
PLACED = contents.of_agent(TRACKED)
PLACED_CENTRE = contents.of_centre(TRACKED, TEXTS)
SOURCES = {str(placed.source) for placed in PLACED}
AT = {str(placed.at): str(placed.source) for placed in PLACED}
UNITS = {
    PurePosixPath(at).name: (ROOT / source).read_text()
    for at, source in AT.items()
    if PurePosixPath(at).parent == contents.UNITS
}
# The only one that may name what is left out: it goes on without.
TOLERANT = {"sdbox_agent/cli.py"}


def test_every_unit_and_rule_has_its_place() -> None:
    whole = {name for name in TRACKED if name.startswith(("systemd/", "udev/"))}
    whole -= {str(placed.source) for placed in PLACED_CENTRE}
    assert whole
    assert whole <= SOURCES
    assert AT["lib/systemd/system/sdbox-agent.service"] == "systemd/sdbox-agent.service"
    assert AT["usr/lib/sysusers.d/sdbox.conf"] == "systemd/sdbox.sysusers"
    assert AT["usr/lib/tmpfiles.d/sdbox.conf"] == "systemd/sdbox.tmpfiles"
    assert AT["usr/lib/sysctl.d/sdbox.conf"] == "systemd/sdbox.sysctl"
    logind = "logind.conf.d/sdbox.conf"
    assert AT[f"usr/lib/systemd/{logind}"] == f"systemd/{logind}"
    assert AT["usr/lib/systemd/catalog/sdbox.catalog"] == "systemd/sdbox.catalog"
    assert AT["lib/udev/rules.d/70-sdbox.rules"] == "udev/70-sdbox.rules"


def test_a_drop_in_goes_with_its_unit() -> None:
    names = ["systemd/pcscd.service.d/sdbox.conf", "systemd/journald.conf.d/sdbox.conf"]
    at = [str(placed.at) for placed in contents.of_agent(names)]
    assert "lib/systemd/system/pcscd.service.d/sdbox.conf" in at
    assert "usr/lib/systemd/journald.conf.d/sdbox.conf" in at


@pytest.mark.parametrize("name", ["systemd/new.kind", "udev/README", "systemd/deeper/x.service"])
def test_what_has_no_place_stops_the_build(name: str) -> None:
    with pytest.raises(contents.Unplaced, match=re.escape(name)):
        contents.of_agent([name])


def test_neither_desk_nor_rig_nor_centre_nor_double_is_on_a_box() -> None:
    tops = {PurePosixPath(name).parts[0] for name in SOURCES}
    assert tops == {"sdbox_agent", "firmware_profiles", "systemd", "udev"}
    assert not [name for name in SOURCES if re.search(r"finger(tool|command)|scripted|\.c$", name)]
    assert "sdbox_agent/biometrics/libkernel.so" in SOURCES


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    for name in contents.NOT_ON_A_BOX:
        assert [one for one in TRACKED if one.startswith(name)], f"strike {name}"


def test_nothing_on_a_box_imports_what_is_not() -> None:
    gone = {imports.module_of(name) for name in set(TRACKED) - SOURCES if name.endswith(".py")}
    assert "sdbox_agent.fingertool" in gone
    modules = {name for name in SOURCES if name.endswith(".py")}
    wrong = {name: set(imports.imported(TEXTS[name])) & gone for name in modules}
    assert {name for name, what in wrong.items() if what} == TOLERANT


def test_units_run_what_is_in_the_package() -> None:
    started = {
        module.replace(".", "/")
        for text in UNITS.values()
        for module in re.findall(
            r"^Exec\w+=\S*/usr/lib/sdbox-agent/bin/python .*-m (\S+)", text, re.MULTILINE
        )
    }
    assert len(started) > 4
    for module in started:
        assert SOURCES & {f"{module}.py", f"{module}/__main__.py"}, module


def test_installing_enables_the_walls_and_makes_no_box() -> None:
    assert contents.enabled_at_install(UNITS) == ["sdbox-walls.service"]
    assert "AssertPathExists=/etc/sdbox/box.toml" in UNITS["sdbox-walls.service"]
    # The session's namespace comes when the tunnel helper asks for it.
    assert "[Install]" in UNITS["sdbox-netns.service"] or re.search(
        r"^Requires=.*sdbox-netns\.service", UNITS["sdbox-tunnel.service"], re.MULTILINE
    )


# -- the centre's ----------------------------------------------------------------------------------

CENTRE = {str(placed.source) for placed in PLACED_CENTRE}
CENTRE_AT = {str(placed.at): str(placed.source) for placed in PLACED_CENTRE}
# Of the agent, module by module: what the centre's own modules import, and theirs. Another one is
# another thing that a centre can do: think before it is written down here.
OF_THE_AGENT = {
    "card": "apdu conversation kinds looks occ opening pad padding pcsc pin piv spki tlv token"
    " verify work",
    "centre": "eventstream reported vouchwire wire",
    "pki": "boxcertificate certificate certsonly chain csr der holder oids path revocation vouched",
    "profile": "hardware schema toml words",
    "provision": "cardcheck",
    "provision/setup": "answers signature",
    "state": "trusted",
    "statements": "fields header jws vouch",
    "tunnel": "config frames kernel link netlink nfset psk relay rtnetlink uapi",
    "": "cardkind errors hardening screen sensorkind terminal terms",
}


def test_of_the_agent_the_centre_has_what_it_imports_and_no_more() -> None:
    wanted = {"sdbox_agent/errors.toml", "sdbox_agent/screen.toml"}
    for package, modules in OF_THE_AGENT.items():
        directory = PurePosixPath("sdbox_agent") / package
        wanted |= {str(directory / f"{name}.py") for name in ["__init__", *modules.split()]}
    assert {name for name in CENTRE if name.startswith("sdbox_agent/")} == wanted


def test_of_the_centre_all_is_there_but_the_desk() -> None:
    own = {name for name in TRACKED if name.startswith("sdbox_centre/")}
    assert own - CENTRE == {*contents.DESK, "sdbox_centre/migrations/script.py.mako"}
    assert set(contents.DESK) <= own, "strike what is no more"


def test_neither_desk_nor_rig_nor_a_finger_is_at_the_centre() -> None:
    tops = {PurePosixPath(name).parts[0] for name in CENTRE}
    assert tops == {"sdbox_agent", "sdbox_centre", "systemd", "docs"}
    unwanted = (
        r"desk|personalis|sealing|reference|biometrics|sensor/|finger|session/|workers|daemon"
    )
    assert not [name for name in CENTRE if re.search(unwanted, name)]


def test_units_users_and_manuals_of_the_centre_have_their_places() -> None:
    for name in ("gateway", "api", "carrier"):
        unit = f"sdbox-centre-{name}.service"
        assert CENTRE_AT[f"lib/systemd/system/{unit}"] == f"systemd/centre/{unit}"
    assert "usr/lib/sysusers.d/sdbox-centre.conf" in CENTRE_AT
    assert "usr/lib/tmpfiles.d/sdbox-centre.conf" in CENTRE_AT
    assert "usr/share/doc/sdbox-centre/centre.md" in CENTRE_AT


def test_what_the_two_packages_both_have_lies_apart() -> None:
    assert not set(AT) & set(CENTRE_AT)
    assert not [name for name in SOURCES if "centre/" in name and "sdbox_agent/centre" not in name]


def test_units_of_the_centre_run_what_is_in_its_package() -> None:
    for source in CENTRE:
        if source.endswith(".service"):
            text = (ROOT / source).read_text()
            assert "/usr/lib/sdbox-centre/bin/python -I -m sdbox_centre " in text
    assert {"sdbox_centre/__main__.py", "sdbox_centre/gateway_process.py"} <= CENTRE


@pytest.mark.parametrize(
    ("planted", "at", "told"),
    [
        (
            "from sdbox_centre import sealing",
            "sdbox_centre/core.py",
            "sealing.py, the desk's, which",
        ),
        ("import sdbox_agent.session.machine", "sdbox_centre/core.py", "session/machine.py, which"),
        ("", "sdbox_centre/new.py", "new.py, which neither"),
    ],
)
def test_what_does_not_belong_there_stops_the_build(planted: str, at: str, told: str) -> None:
    texts = {**TEXTS, at: f"{TEXTS.get(at, '')}\n{planted}\n"}
    with pytest.raises(contents.Unplaced, match=re.escape(told)):
        contents.of_centre(TRACKED, texts)


def test_examples_are_the_manuals_own() -> None:
    made = contents.examples((ROOT / "docs/centre.md").read_text())
    at = "usr/share/doc/sdbox-centre/examples"
    names = ("api.toml", "gateway.toml", "projects/NAME.toml", "carrier.toml")
    assert [str(path) for path in made] == [f"{at}/{name}" for name in names]
    for text in made.values():
        assert text.endswith("\n")
        assert "```" not in text
