"""Steps: what holds is left, what fails ends the run, what is said of either."""

import json

import pytest

from sdbox_agent import errors, screen
from sdbox_agent.errors import Fault, Refused, SdboxError
from sdbox_agent.provision.setup import step
from sdbox_agent.provision.setup.fitness import Unfit
from sdbox_agent.provision.setup.step import NOTHING, Note, Result


class One:
    """A step that can be told how to be."""

    def __init__(self, name: str = "keys", so: bool = False, note: Note = NOTHING) -> None:
        self.name, self.so, self.note = name, so, note
        self.acted = 0
        self.fails: Exception | None = None
        self.takes = True

    def holds(self) -> bool:
        return self.so

    def act(self) -> Note:
        self.acted += 1
        if self.fails:
            raise self.fails
        self.so = self.takes
        return self.note


def results(*steps: One, dry: bool = False) -> list[Result]:
    return [told.result for told in step.run(steps, dry=dry)]


def test_what_holds_is_left_alone_and_the_rest_is_done_in_turn() -> None:
    first, second = One(so=True), One()
    assert results(first, second) == [Result.SO, Result.DONE]
    assert (first.acted, second.acted) == (0, 1)
    assert results(first, second) == [Result.SO, Result.SO]


def test_a_dry_run_does_nothing_and_sees_all() -> None:
    wrong = One()
    wrong.holds = lambda: (_ for _ in ()).throw(Refused("anchor-wanted"))  # type: ignore[method-assign]
    steps = (One(), wrong, One(so=True))
    assert results(*steps, dry=True) == [Result.WOULD, Result.FAILED, Result.SO]
    assert sum(one.acted for one in steps) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("anchor-wanted"), "anchor-wanted"),
        (Fault("unit-failed"), "unit-failed"),
        (OSError(28, "No space left on device", "/x"), "disk-failed"),
    ],
)
def test_what_fails_ends_the_run_with_its_code(error: Exception, code: str) -> None:
    first, second = One(), One()
    first.fails = error
    (told,) = step.run([first, second], dry=False)
    assert (told.result, told.code, second.acted) == (Result.FAILED, code, 0)


def test_a_step_that_was_made_and_does_not_hold_is_a_bug_of_ours() -> None:
    one = One()
    one.takes = False
    (told,) = step.run([one], dry=False)
    assert told.code == "unforeseen"


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_a_person_reads_the_step_its_end_and_what_to_do(language: str) -> None:
    one = One("fit")
    one.fails = Unfit("restart-needed", "failed   x\nfailed   y")
    (told,) = step.run([one], dry=False)
    lines = "\n".join(step.text(told, language))
    assert lines.startswith(f" 1/1  {screen.words('setup', 'fit', language)}: ")
    assert "       failed   y" in lines
    assert lines.endswith(errors.render("restart-needed", language))


def test_a_note_has_its_words_and_a_detail_below() -> None:
    (told,) = step.run([One("report", note=Note("read-out", "ABCDE"))], dry=False)
    words = screen.words("setup", "read-out", "en")
    assert "\n".join(step.text(told, "en")).splitlines()[1:] == [f"       {words}", "       ABCDE"]
    (told,) = step.run([One("report", note=Note(detail="x"))], dry=False)
    assert len(list(step.text(told, "en"))) == 1
    (told,) = step.run([One("report", note=Note("not-running"))], dry=False)
    assert len(list(step.text(told, "en"))) == 2


def test_programs_get_every_word_in_both_languages() -> None:
    one = One("units", note=Note("not-running"))
    row = json.loads(step.as_json(next(step.run([one], dry=False))))
    assert set(row["title"]) == set(row["says"]) == set(errors.LANGUAGES)
    failing = One("units")
    failing.fails = Fault("unit-failed")
    row = json.loads(step.as_json(next(step.run([failing], dry=False))))
    assert (row["code"], row["result"], row["number"], row["of"]) == ("unit-failed", "failed", 1, 1)


def test_an_error_without_a_diagnosis_has_no_detail() -> None:
    one = One()
    one.fails = SdboxError("unforeseen")
    (told,) = step.run([one], dry=False)
    assert told.detail == ""
    assert len(list(step.text(told, "en"))) == 2


@pytest.mark.parametrize(
    ("names", "detail"), [(("/x",), "/x: full"), ((), "full")], ids=["named", "not"]
)
def test_what_the_disk_says_is_told_by_name_where_it_has_one(names, detail: str) -> None:
    wrong = One()
    wrong.act = lambda: (_ for _ in ()).throw(OSError(28, "full", *names))  # type: ignore[method-assign]
    (told,) = step.run([wrong], dry=False)
    assert told.detail == detail
