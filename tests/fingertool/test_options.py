"""The command line of `finger`: what is taken, and how it arrives."""

import argparse
from pathlib import Path

import pytest

from sdbox_agent import cli


def parsed(*words: str) -> argparse.Namespace:
    return cli._parser().parse_args(["finger", *words])


def test_each_act_knows_its_name_and_what_does_it() -> None:
    assert parsed("extract", "a.png", "--dpi", "569").act == "extract"
    found = parsed("compare", "a.iso", "b.iso", "--explain", "--picture", "c.png")
    assert (found.act, found.reference, found.probe) == ("compare", Path("a.iso"), Path("b.iso"))
    assert (found.explain, found.picture, found.force, found.json) == (
        True, Path("c.png"), False, False,
    )  # fmt: skip
    found = parsed("evaluate", "a", "b", "--on-card", "--impostor", "fvc")
    assert (found.folder, found.on_card, found.impostor) == ([Path("a"), Path("b")], True, "fvc")
    assert found.do is cli._finger


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("extract",),
        ("extract", "a.png", "--dpi", "72"),
        ("extract", "a.png", "--dpi", "nan"),
        ("extract", "a.png", "--dpi", "many"),
        ("extract", "a.png", "--format", "xyt"),
        ("evaluate",),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        parsed(*words)
    assert end.value.code == cli.USAGE
