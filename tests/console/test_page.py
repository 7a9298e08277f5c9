"""What is said of every state and of every code: all of it, in both languages."""

import pytest

from sdbox_agent import errors, screen
from sdbox_agent.console import page, scene
from sdbox_agent.console.page import Page, Rank
from sdbox_agent.console.scene import Scene
from sdbox_agent.daemon import view
from tests.daemon.test_view import states
from tests.test_screen import STATES

CODES = sorted(errors.table())


def of(shown: view.View, language: str = "fr") -> Page:
    return page.page(scene.seen(Scene(), shown), language)


def texts(made: Page) -> str:
    return "\n".join(one.text for one in (*made.above, *made.below, *made.foot))


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_every_state_is_said_in_both_languages_the_boxs_own_first(language: str) -> None:
    shown = [view.view(state, 1.0) for state in states()]
    assert {one.state for one in shown} == STATES
    for one in shown:
        made = of(one, language)
        said = made.above[0].text
        if one.code is None:
            assert said == screen.words("state", one.state, language)
        assert made.above[0].rank is Rank.SAID
        for each in errors.LANGUAGES:
            sentence = (
                errors.explain(one.code).sentence[each]
                if one.code and one.code in errors.table()
                else screen.words("state", one.state, each)
            )
            assert sentence in texts(made), (one.state, each)


def test_every_state_has_large_words_and_every_large_word_a_state() -> None:
    kinds = {page._large(view.view(state, 1.0)) for state in states()}
    kinds |= {page._large(view.View(state="spent", mono_ms=1, code=code)) for code in CODES}
    kinds |= {page._large(view.View(state="spent", mono_ms=1)), "unreachable"}
    kinds |= {page._large(view.View(state="scanning", mono_ms=1, waits=True))}
    assert set(page._LARGE) | {"spent"} == STATES
    assert kinds == set(screen.table()["large"])


@pytest.mark.parametrize("language", errors.LANGUAGES)
@pytest.mark.parametrize("code", CODES)
def test_every_code_is_said_with_its_remedy_in_both_languages(code: str, language: str) -> None:
    made = of(view.View(n=3, state="spent", mono_ms=1, code=code), language)
    row = errors.explain(code)
    for each in errors.LANGUAGES:
        assert row.sentence[each] in texts(made)
        assert row.remedy[each] in texts(made)
    assert f": {code}" in texts(made)
    own = [one for one in made.above if one.rank <= Rank.TO_DO]
    assert [one.text for one in own][:2] == [row.sentence[language], row.remedy[language]]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("card-revoked", "refused"),
        ("card-removed", "over"),
        ("session-idle", "over"),
        ("transaction-timeout", "over"),
        ("centre-slow", "fault"),
        ("unforeseen", "fault"),
        ("never-heard-of", "fault"),
    ],
)
def test_an_end_is_named_for_what_it_is(code: str, word: str) -> None:
    made = of(view.View(n=3, state="spent", mono_ms=1, code=code), "en")
    assert made.large[0] == screen.words("large", word, "en")


def test_a_code_that_nobody_knows_is_never_shown() -> None:
    made = of(
        view.View(
            n=3, state="choosing", mono_ms=1, code="made-up", notices=("made-up-too",),
            projects=(view.Project(project="p1", label="", code="made-up"),),
            link=view.LinkView(up=False, since_ms=1, code="made-up"),
        )
    )  # fmt: skip
    assert "made-up" not in texts(made) + "".join(made.choices)
    assert "unknown-code" in texts(made)


def test_a_note_of_the_last_choice_comes_before_the_state() -> None:
    shown = view.View(n=3, state="choosing", mono_ms=1)
    made = page.page(Scene(view=shown, note="project-closed"), "en")
    assert made.above[0].text == errors.explain("project-closed").sentence["en"]


@pytest.mark.parametrize(
    ("shown", "tunnel", "link"),
    [
        (view.View(state="idle", mono_ms=1), "fermé / closed", "état inconnu / not known"),
        (
            view.View(state="tunnelling", mono_ms=1, link=view.LinkView(up=True, since_ms=1)),
            "en cours d’ouverture / opening",  # noqa: RUF001  as screen.toml has it
            "joignable / in reach",
        ),
        (
            view.View(
                state="open", mono_ms=1, carrier="udp",
                link=view.LinkView(up=False, since_ms=1, code="centre-slow"),
            ),
            "ouvert / open (udp)",
            "injoignable / out of reach [centre-slow]",
        ),
        (view.View(state="broken", mono_ms=1), "état inconnu / not known", "not known"),
    ],
)  # fmt: skip
def test_link_and_tunnel_are_told_in_every_state(shown: view.View, tunnel: str, link: str) -> None:
    centre, own = (one.text for one in of(shown).foot)
    assert own == f"tunnel: {tunnel}"
    assert centre.startswith("centre: ")
    assert centre.endswith(link)


def test_what_concerns_the_person_is_told() -> None:
    pin = view.View(state="pinentry", mono_ms=1, code="enter-pin", pin_left=1, attempts_left=3)
    assert "code restants / PIN attempts left: 1" in texts(of(pin))
    assert "attempts left: 3" not in texts(of(pin))
    scanning = view.View(state="scanning", mono_ms=1, attempts_left=2, expires_in_days=9)
    assert "attempts left: 2" in texts(of(scanning))
    assert "expires: 9" in texts(of(scanning))
    opened = view.View(state="open", mono_ms=1, project="p1", notices=("re-enrol-soon",))
    assert "projet / project: p1" in texts(of(opened))
    for language in errors.LANGUAGES:
        assert errors.explain("re-enrol-soon").sentence[language] in texts(of(opened))
    assert "issued by: A. Proxy" in texts(
        of(view.View(state="spent", mono_ms=1, code="tls-inspected", issuer="A. Proxy"))
    )


def test_what_is_to_be_typed_is_told_with_what_has_been() -> None:
    shown = view.View(state="codeentry", mono_ms=1, code="enter-code")
    made = page.page(Scene(view=shown, typed="123"), "en")
    assert "> 123_" in texts(made)
    assert screen.words("console", "type-code", "fr") in texts(made)


def test_a_box_that_starts_is_no_fault_and_one_that_stays_away_is() -> None:
    for language in errors.LANGUAGES:
        assert screen.words("console", "starting", language) in texts(page.page(Scene(), "fr"))
    late = page.page(Scene(late=True), "en")
    assert "agent-unreachable" in texts(late)
    assert late.large[0] == screen.words("large", "unreachable", "en")
    assert "not-allowed" in texts(page.page(Scene(code="not-allowed"), "en"))
