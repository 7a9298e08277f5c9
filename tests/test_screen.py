"""Every state and every detail has its words, in both languages, and nothing else does."""

import re
from pathlib import Path
from typing import get_args

import pytest

from sdbox_agent import boxcommand, errors, profilecommand, screen
from sdbox_agent.console import page
from sdbox_agent.daemon import view
from sdbox_agent.fingertool import text
from sdbox_agent.pki import path
from sdbox_agent.profile import detect, field
from sdbox_agent.provision import cardtext
from sdbox_agent.session import states as at

STATES = {kind.__name__.lower() for kind in get_args(at.State)}
DETAILS = {name for name, _ in boxcommand.details(view.View(state="idle", mono_ms=0))}


def test_every_state_and_detail_has_words_and_no_other_name() -> None:
    assert set(screen.table()) == {
        "state",
        "detail",
        "prompt",
        "large",
        "console",
        "card",
        "step",
        "finger",
        "network",
        "doctor",
        "renewal",
        "profile",
    }
    assert set(screen.table()["state"]) == STATES
    assert set(screen.table()["detail"]) == DETAILS
    assert set(screen.table()["prompt"]) == {"accepted", "last-try"}
    assert set(screen.table()["step"]) == {name for name, _ in path._STEPS}
    for kind, module in (("card", cardtext), ("finger", text), ("console", page)):
        source = Path(module.__file__).read_text("utf-8")
        said = set(re.findall(r"[\"']([a-z-]+)[\"']", source))
        names = {re.sub("^(link|tunnel)-", "", name) for name in screen.table()[kind]}
        assert names <= said
    sources = "".join(
        Path(module.__file__).read_text("utf-8") for module in (profilecommand, detect, field)
    )
    assert set(screen.table()["profile"]) <= set(re.findall(r"[\"']([a-z-]+)[\"']", sources))


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_states_are_sentences_and_details_are_not(language: str) -> None:
    for name in STATES:
        text = screen.words("state", name, language)
        assert re.fullmatch(r"[A-ZÉÀ][^{}%<>']+[.…]", text), text
    for name in DETAILS:
        assert not screen.words("detail", name, language).endswith(".")
    for kind in screen.table():
        assert all(set(row) == set(errors.LANGUAGES) for row in screen.table()[kind].values())


def test_a_name_without_words_is_shown_as_it_is() -> None:
    assert screen.words("state", "new-state", "fr") == "new-state"
