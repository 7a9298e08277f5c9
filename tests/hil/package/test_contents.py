"""What of the repository is on a box, and what never is."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from hil.package import contents

ROOT = Path(__file__).parents[3]
TRACKED = subprocess.check_output(
    ["git", "-c", f"safe.directory={ROOT}", "ls-files"], cwd=ROOT, text=True
).split("\n")[:-1]
PLACED = contents.of_agent(TRACKED)
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


def _imported(name: str) -> Iterator[str]:
    """What a module imports when it runs: not what only the type checker reads."""
    tree = ast.parse((ROOT / name).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_nothing_on_a_box_imports_what_is_not() -> None:
    gone = {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in set(TRACKED) - SOURCES
        if name.endswith(".py")
    }
    assert "sdbox_agent.fingertool" in gone
    modules = {name for name in SOURCES if name.endswith(".py")}
    wrong = {name: set(_imported(name)) & gone for name in modules}
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
