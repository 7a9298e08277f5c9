"""The packages there are."""

import pytest

from hil.package import contents, recipe
from hil.package.recipe import Recipe


def test_their_names_commands_and_directories_are_their_own() -> None:
    names = [one.name for one in recipe.EVERY]
    assert names == ["sdbox-agent", "sdbox-centre"]
    assert [one.parser().prog for one in recipe.EVERY] == names
    assert [one.library.name for one in recipe.EVERY] == names


@pytest.mark.parametrize("one", recipe.EVERY, ids=lambda one: one.name)
def test_all_of_one_lies_where_it_is_its_own(one: Recipe) -> None:
    placed = one.placed()
    assert placed == sorted(set(placed))
    assert not set(one.written()) & {file.at for file in placed}
    assert {file.at for file in placed if file.at.name == "__main__.py"} >= {
        one.library / one.module / "__main__.py"
    }


def test_a_box_has_no_tools_for_fingers_in_files() -> None:
    assert "extract" not in recipe.AGENT.parser().format_help()
    assert "finger" not in recipe.AGENT.parser().format_help()


def test_modules_are_read_and_nothing_else() -> None:
    texts = recipe.texts()
    assert "sdbox_centre/cli.py" in texts
    assert all(name.endswith(".py") and not name.startswith("hil/") for name in texts)
    assert set(contents.DESK) <= set(texts)
