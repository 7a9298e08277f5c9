import re
from pathlib import Path

import pytest

from sdbox_agent.errors import Fault
from sdbox_centre.book import ApiSettings, CarrierSettings, GatewaySettings, ProjectFile
from sdbox_centre.tomlfile import beside, load


@pytest.mark.parametrize("kind", [ApiSettings, GatewaySettings])
def test_settings_name_what_is_wrong_with_them(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "settings.toml"
    for text in ("", "port = 99999\n", "lease_s = 0\n"):
        path.write_text(text)
        with pytest.raises(Fault, match="config-invalid") as caught:
            load(path, kind)
        assert str(path) in str(caught.value.__cause__)
    with pytest.raises(Fault, match="config-invalid"):
        load(tmp_path / "absent.toml", kind)


def test_paths_stand_beside_their_file(tmp_path: Path) -> None:
    assert beside(tmp_path / "api.toml", "centre.db") == tmp_path / "centre.db"
    assert beside(tmp_path / "api.toml", "/run/x") == Path("/run/x")


def test_the_settings_in_the_manual_are_settings(tmp_path: Path) -> None:
    manual = Path(__file__).parents[2] / "docs/centre.md"
    shown = re.findall(r"```toml\n(.*?)```", manual.read_text(), re.DOTALL)
    kinds = (ApiSettings, GatewaySettings, ProjectFile, CarrierSettings)
    for text, kind in zip(shown, kinds, strict=True):
        (path := tmp_path / "shown.toml").write_text(text)
        assert load(path, kind)
