"""What is decided without a booted Debian. `make hil-deb` boots one."""

import tomllib

from hil.launch import units
from hil.package import booted, contents
from sdbox_centre.book import CarrierSettings, GatewaySettings
from sdbox_centre.tomlfile import load
from tests.hil.package.test_contents import ROOT

EXAMPLES = {
    path.name: text
    for path, text in contents.examples((ROOT / "docs/centre.md").read_text()).items()
}


def test_the_section_that_is_only_shown_is_taken_up_and_no_other_line(tmp_path) -> None:
    text = booted.uncommented(EXAMPLES["gateway.toml"])
    (tmp_path / "gateway.toml").write_text(text)
    settings = load(tmp_path / "gateway.toml", GatewaySettings)
    assert settings.carrier is not None
    assert settings.carrier.uid == booted.UNITS["sdbox-centre-carrier"][0]
    shown = tomllib.loads(EXAMPLES["gateway.toml"])
    assert {key: value for key, value in tomllib.loads(text).items() if key != "carrier"} == shown


def test_a_comment_stays_one() -> None:
    text = "a = 1  # [x]\n# why\n\n# [b]  # shown\n# c = 2\n\n# and why\n[d]\n"
    assert tomllib.loads(booted.uncommented(text)) == {"a": 1, "b": {"c": 2}, "d": {}}


def test_addresses_are_the_examples_own(tmp_path) -> None:
    (tmp_path / "carrier.toml").write_text(EXAMPLES["carrier.toml"])
    carrier = load(tmp_path / "carrier.toml", CarrierSettings)
    assert (carrier.address, carrier.port) == (booted.CARRIER, booted.PORT)
    assert tomllib.loads(EXAMPLES["api.toml"])["address"] == booted.API
    project = tomllib.loads(EXAMPLES["NAME.toml"])
    assert project["interface"] == booted.INTERFACE


def test_users_are_the_packages() -> None:
    made = units.users(ROOT / "systemd/centre/sdbox-centre.sysusers")
    assert {unit: uid for unit, (uid, _) in booted.UNITS.items()} == {
        name: number for name, number in made.items() if name in booted.UNITS
    }
