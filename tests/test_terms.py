"""Words that travel: a changed one would be another wire."""

from sdbox_agent.terms import Band, Level


def test_levels_are_named_on_the_wire_as_in_the_design() -> None:
    assert [level.value for level in Level] == ["host-match", "card-match", "card-pin"]


def test_bands_are_named_on_the_wire_and_in_the_store_so() -> None:
    assert [band.value for band in Band] == ["strong", "fair", "weak"]
