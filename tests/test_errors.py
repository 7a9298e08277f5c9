"""The table of codes: whole, bilingual, and every code in the source stands in it."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdbox_agent import errors

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("sdbox_agent/**/*.py"), *ROOT.glob("sdbox_centre/**/*.py")])
FIELDS = {"class", "fr", "en", "remedy_fr", "remedy_en", "call", "retry"}
RETRIED = {
    "centre-unreachable",
    "centre-slow",
    "centre-fault",
    "centre-answer-invalid",
    "centre-busy",
    "crl-stale",
    "clock-unset",
    "tpm-busy",
}
MAX_SENTENCE_CHARS = 100


def codes_in(source: str) -> Iterator[tuple[str, str | None]]:
    """Each code written out in `source`, with the class it is raised as, if it is."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        first = node.args[0] if node.args else None
        if name in errors.CLASSES and isinstance(first, ast.Constant):
            yield str(first.value), name
        ours = ast.unparse(node.func) in {"error", "errors.error"}  # and no logger's
        if ours and isinstance(first, ast.Constant):
            yield str(first.value), None
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg == "code" and isinstance(value, ast.Constant) and value.value:
                yield str(value.value), None


def check(source: str) -> list[str]:
    """What is wrong with the codes of `source`, in words."""
    wrong = []
    for code, kind in codes_in(source):
        row = errors.table().get(code)
        if row is None:
            wrong.append(f"{code}: not in errors.toml")
        elif kind not in {None, row.kind}:
            wrong.append(f"{code}: raised as {kind}, is {row.kind}")
    return wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_code_in_the_source_stands_in_the_table_with_that_class(path: Path) -> None:
    assert check(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        'raise Refused("never-heard-of")',
        'raise errors.Fault("no-match")',
        'Failed(n=1, code="never-heard-of")',
        'raise errors.error("never-heard-of")',
    ],
)
def test_the_scan_finds_a_planted_fault(planted: str) -> None:
    assert check(planted)


def test_rows_have_exactly_the_fields_and_both_languages() -> None:
    text = (ROOT / "sdbox_agent/errors.toml").read_text("utf-8")
    for code, row in tomllib.loads(text).items():  # tomllib refuses a code that stands there twice
        assert re.fullmatch(r"[a-z][a-z0-9-]{1,40}", code)
        assert FIELDS - {"retry"} <= set(row) <= FIELDS, code
        for name in ("fr", "en", "remedy_fr", "remedy_en"):
            sentence = row[name]
            assert 5 <= len(sentence) <= MAX_SENTENCE_CHARS, (code, name)
            assert sentence.endswith("."), (code, name)
            assert not re.search(r"[{}%<>']|\s{2}|\n", sentence), (code, name)  # no placeholder


def test_the_box_tries_again_by_itself_only_what_the_centre_can_mend_meanwhile() -> None:
    assert {code for code, row in errors.table().items() if row.retry} == RETRIED
    assert all(row.kind == "Fault" for row in errors.table().values() if row.retry)


def test_what_the_person_can_mend_calls_nobody() -> None:
    for row in errors.table().values():
        if row.kind == "AskAgain":
            assert row.call == "nobody", row.code


@pytest.mark.parametrize("language", errors.LANGUAGES)
def test_a_line_for_a_person_ends_with_the_code(language: str) -> None:
    for code in errors.table():
        line = errors.render(code, language)
        assert line.endswith(f"({code})")
        assert "\n" not in line


def test_an_unknown_code_is_never_shown() -> None:
    assert "\x1b" not in errors.render("\x1b[31m", "fr")
    assert errors.render("nothing", "en").endswith("(unknown-code)")
    assert isinstance(errors.error("nothing"), errors.Bug)


def test_explain_as_json_has_every_field() -> None:
    document = json.loads(json.dumps(errors.as_json("card-revoked")))
    assert document["class"] == "Refused"
    assert set(document["sentence"]) == set(document["remedy"]) == set(errors.LANGUAGES)
    with pytest.raises(KeyError):
        errors.as_json("nothing")


def test_error_gives_the_class_of_the_table() -> None:
    for code, row in errors.table().items():
        assert type(errors.error(code)) is errors.CLASSES[row.kind]


@pytest.mark.parametrize(
    "row", [{"class": "Oops", "call": "nobody"}, {"class": "Bug", "call": "x"}]
)
def test_a_row_of_no_class_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="unknown class or call"):
        errors._row("some-code", row)


def test_the_audit_record_names_the_class_in_its_own_words() -> None:
    written = {row.kind: row.result for row in errors.table().values()}
    assert written == {
        "AskAgain": "ask-again", "Refused": "refused", "Fault": "fault", "Bug": "bug",
    }  # fmt: skip
