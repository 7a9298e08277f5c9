import json

from sdbox_centre.staff import shown
from tests.sdbox_centre.staff import members as m


def test_an_act_is_plain_and_json() -> None:
    for act in m.ACTS:
        said = shown.plain_act(act)
        assert json.loads(shown.as_json(said)) == json.loads(json.dumps(said))
        assert said["subject"] == act.subject
    assert shown.plain_act(m.card())["card"] == m.DIGEST.hex()


def test_a_table_has_a_head_and_its_columns_stand_under_one_another() -> None:
    rows = [
        {"id": "a", "signed": True},
        {"id": "long-name", "signed": False},
    ]
    lines = shown.as_table("holder", rows).splitlines()
    assert lines[0].split() == ["id", "signed"]
    assert [line.split() for line in lines[1:]] == [["a", "yes"], ["long-name", "NO"]]
    words = ("signed", "yes", "NO")
    assert len({line.index(word) for line, word in zip(lines, words, strict=True)}) == 1


def test_what_is_long_or_missing_is_said_shortly() -> None:
    row = {"auth_sha256": "ab" * 32, "holder": "h", "revoked_s": None, "failures": 0, "unlocks": 0}
    line = shown.as_table("card", [row]).splitlines()[1]
    assert line.split() == ["ab" * 8, "h", "-", "0", "0", "-"]


def test_certificates_and_references_are_not_shown() -> None:
    said = shown.plain({"reference": b"r", "statement_certificate": b"s", "act": b"\x01"})
    assert said == {"act": "01"}


def test_what_a_box_says_of_itself_gives_a_terminal_no_command() -> None:
    row = {"name": "box-07", "machine": "\x1b[2K\x1b[1Aa\nbox-08\u202e", "keys": "AAAAA"}
    head, line = shown.as_table("report", [row]).split("\n")
    assert "?[2K?[1Aa?box-08?" in line
    assert (head + line).isprintable()
