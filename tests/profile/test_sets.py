"""A set is taken whole or not at all, wherever it stops."""

import os
import shutil
from pathlib import Path

import pytest

from sdbox_agent.profile import sets
from sdbox_agent.state.trusted import FileRefused

SHIPPED = Path(__file__).parents[2] / "firmware_profiles"


class PowerCutError(Exception):
    """The power goes."""


def no_objection(_directory: Path) -> None:
    """Any set will do."""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """What the program came with: version 1."""
    return made(tmp_path / "program", 1)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    return tmp_path / "etc/profile-set"


def made(where: Path, version: int) -> Path:
    shutil.copytree(SHIPPED, where)
    (where / sets.FILE).write_text(f"{version}\n")
    where.parent.joinpath("etc").mkdir(exist_ok=True)
    return where


def content(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_the_shipped_set_is_whole() -> None:
    assert sets.check(SHIPPED) == sets.version(SHIPPED) >= 1


def test_a_newer_set_is_taken_and_the_one_before_kept(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    for version in (2, 5, 6):
        new = made(tmp_path / f"new{version}", version)
        assert sets.install(new, installed, program, no_objection) == version
        assert content(installed) == content(new)
    assert sets.version(installed.with_name("profile-set.last")) == 5
    assert sorted(path.name for path in installed.parent.iterdir()) == [
        "profile-set",
        "profile-set.last",
    ]
    assert sets.revert(installed, no_objection) == 5 == sets.version(installed)
    assert sets.revert(installed, no_objection) == 6, "and back again"


def test_others_may_read_it_and_nobody_else_write_it(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    before = os.umask(0o077)
    try:
        sets.install(made(tmp_path / "new", 2), installed, program, no_objection)
    finally:
        os.umask(before)
    for path in (installed, *installed.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_the_newer_of_two_counts_and_at_the_same_version_the_programs(tmp_path: Path) -> None:
    one, two = made(tmp_path / "a", 1), made(tmp_path / "b", 2)
    assert sets.newest_first(two, one) == (two, one)
    assert sets.newest_first(one, two) == (two, one)
    (one / sets.FILE).write_text("2")
    assert sets.newest_first(one, two) == (two, one)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "one", "1\n2", "1000000", " 1"])
def test_a_set_without_a_number_is_none(tmp_path: Path, text: str) -> None:
    new = made(tmp_path / "new", 1)
    (new / sets.FILE).write_text(text)
    assert sets.version(new) == 0
    with pytest.raises(FileRefused, match=r"^profile-invalid$") as caught:
        sets.check(new)
    assert caught.value.file == str(new / sets.FILE)


NAME = "wyse-5070-scr3310-u4000"


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        (f"{NAME}.toml", '"card-pin"', '"guess"', 6),
        (f"{NAME}.toml", f'name = "{NAME}"', 'name = "other"', 0),
        (f"{NAME}.toml", '"uareu-4000"', '"uareu-9000"', 0),
        (f"{NAME}.toml", '"piv-pin"', '"piv-pen"', 0),
        ("cards/piv-pin.toml", '"once"', '"twice"', 8),
        ("sensors/elan.toml", 'driver = "elan"', 'driver = "el an"', 7),
        (sets.FILE, "7", "1", 1),
        (sets.FILE, "7", "seven", 1),
    ],
)
def test_a_bad_set_changes_nothing_and_names_its_file(
    tmp_path: Path, program: Path, installed: Path, name: str, old: str, new: str, line: int
) -> None:
    sets.install(made(tmp_path / "good", 2), installed, program, no_objection)
    before = content(installed.parent)
    bad = made(tmp_path / "bad", 7)
    text = (bad / name).read_text()
    assert old in text
    (bad / name).write_text(text.replace(old, new))
    with pytest.raises(FileRefused) as caught:
        sets.install(bad, installed, program, no_objection)
    error = caught.value
    assert (error.code, error.file, error.line) == ("profile-invalid", str(bad / name), line)
    assert content(installed.parent) == before


def test_a_file_that_others_may_write_a_symlink_or_none_is_refused(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    bad = made(tmp_path / "bad", 2)
    (bad / f"{NAME}.toml").chmod(0o666)
    link = made(tmp_path / "link", 2)
    (link / f"{NAME}.toml").unlink()
    (link / f"{NAME}.toml").symlink_to(program / f"{NAME}.toml")
    gone = made(tmp_path / "gone", 2)
    (gone / sets.FILE).unlink()
    for new in (bad, link, gone, tmp_path / "none"):
        with pytest.raises(FileRefused, match=r"^profile-invalid$"):
            sets.install(new, installed, program, no_objection)
    assert not installed.exists()


def test_too_many_files_are_no_set(tmp_path: Path) -> None:
    new = made(tmp_path / "new", 2)
    for number in range(sets.MAX_FILES):
        (new / f"x{number}.toml").write_text("")
    with pytest.raises(FileRefused) as caught:
        sets.check(new)
    assert caught.value.reason.startswith("more than")


def test_a_box_that_could_not_run_from_it_keeps_what_it_has(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    sets.install(made(tmp_path / "good", 2), installed, program, no_objection)
    before = content(installed.parent)

    def fits(directory: Path) -> None:
        assert content(directory) != {}
        raise FileRefused("profile-invalid", "box.toml", 0, "no such profile")

    with pytest.raises(FileRefused):
        sets.install(made(tmp_path / "new", 3), installed, program, fits)
    assert content(installed.parent) == before


CALLS = ("write_bytes", "chmod", "mkdir", "rename", "fsync", "exchange", "rmtree")


def cut_at(number: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The power goes before the `number`th thing that changes the disk; what was done till then."""
    done: list[str] = []

    def before(name: str) -> None:
        if len(done) == number:
            raise PowerCutError
        done.append(name)

    def counted(owner: object, name: str, called: str) -> None:
        real = getattr(owner, name)

        def replacement(*args: object, **options: object) -> object:
            before(called)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, replacement)

    for name in ("write_bytes", "chmod", "mkdir", "rename"):
        counted(Path, name, name)
    counted(sets, "_sync", "fsync")
    counted(sets, "_exchange", "exchange")
    counted(shutil, "rmtree", "rmtree")
    return done


def small(where: Path, version: int) -> Path:
    """A set of one file: each cut of its way is tried."""
    for name in ("", "cards", "sensors"):
        (where / name).mkdir(parents=True)
    (where / sets.FILE).write_text(f"{version}\n")
    shutil.copy(SHIPPED / "cards/piv-pin.toml", where / "cards")
    return where


def test_a_power_cut_anywhere_leaves_a_whole_set_old_or_new_and_a_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and order only: that bytes are on the disk before their names is `fsync`'s word."""
    seen = set()
    for number in range(200):
        room = tmp_path / str(number)
        program, etc = small(room / "program", 1), room / "etc"
        etc.mkdir()
        installed = etc / "profile-set"
        for version in (2, 3):
            sets.install(small(room / f"s{version}", version), installed, program, no_objection)
        new = small(room / "s4", 4)
        with monkeypatch.context() as patch:
            done = cut_at(number, patch)
            try:
                sets.install(new, installed, program, no_objection)
                finished = True
            except PowerCutError:
                finished = False
        seen.add(sets.check(installed))
        if finished:
            assert sets.version(installed) == 4
            break
        last = etc / "profile-set.last"
        assert sets.check(last) in {2, 3, 4}
        if sets.version(installed) == 3:
            assert sets.install(new, installed, program, no_objection) == 4
        assert content(installed) == content(new)
    else:
        pytest.fail("it never ended")
    assert seen == {3, 4}
    assert {"write_bytes", "fsync", "exchange"} <= set(done)
    assert done.index("exchange") > max(i for i, name in enumerate(done) if name == "write_bytes")


def test_every_byte_is_synced_before_the_sets_change_places(
    tmp_path: Path, program: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets.install(made(tmp_path / "a", 2), installed, program, no_objection)
    synced: list[str] = []
    monkeypatch.setattr(sets, "_sync", lambda path: synced.append(path.name))
    sets.install(made(tmp_path / "b", 3), installed, program, no_objection)
    files = {Path(name).name for name in content(installed)}
    assert files <= set(synced)
    assert synced[-1] == "etc", "and the exchange itself"


def test_no_exchange_no_change(
    tmp_path: Path, program: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that can't do it says so, and the set before is still the one to go back to."""
    sets.install(made(tmp_path / "a", 2), installed, program, no_objection)
    before = content(installed.parent)
    monkeypatch.setattr(sets, "_EXCHANGE", 1 << 30)
    with pytest.raises(OSError, match=r"\[Errno 22\]"):
        sets.install(made(tmp_path / "b", 3), installed, program, no_objection)
    assert content(installed.parent) == before, "nor is there anything new to go back to"


def test_an_exchange_that_fails_at_the_last_step_leaves_the_set_before_too(
    tmp_path: Path, program: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (2, 3):
        sets.install(made(tmp_path / f"s{version}", version), installed, program, no_objection)
    before = content(installed.parent)
    real, calls = sets._exchange, []

    def second_fails(one: Path, other: Path) -> None:
        calls.append(one)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(one, other)

    monkeypatch.setattr(sets, "_exchange", second_fails)
    with pytest.raises(OSError, match="Input/output"):
        sets.install(made(tmp_path / "s4", 4), installed, program, no_objection)
    assert content(installed.parent) == before


def test_before_the_first_set_was_the_programs_own_and_there_is_a_way_back_to_it(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    with pytest.raises(FileRefused) as caught:
        sets.revert(installed, no_objection)
    assert caught.value.reason.startswith("no set was installed")
    sets.install(made(tmp_path / "a", 2), installed, program, no_objection)
    assert sets.revert(installed, no_objection) == 0
    assert sets.newest_first(installed, program) == (program, installed)
    assert sets.revert(installed, no_objection) == 2 == sets.check(installed)
    assert sets.revert(installed, no_objection) == 0
    sets.install(made(tmp_path / "b", 3), installed, program, no_objection)
    assert sets.revert(installed, no_objection) == 0, "what was given up is not the set before"


def test_a_box_that_could_not_run_from_the_set_before_stays(
    tmp_path: Path, program: Path, installed: Path
) -> None:
    for version in (2, 3):
        sets.install(made(tmp_path / f"s{version}", version), installed, program, no_objection)

    def fits(directory: Path) -> None:
        assert sets.version(directory) == 2
        raise FileRefused("profile-invalid", "box.toml", 0, "no such profile")

    with pytest.raises(FileRefused):
        sets.revert(installed, fits)
    assert sets.version(installed) == 3


def test_two_at_a_time_do_not_mix(tmp_path: Path, program: Path, installed: Path) -> None:
    """The second would take what the first is still copying."""
    new = made(tmp_path / "a", 2)

    def second(_directory: Path) -> None:
        for act in (
            lambda: sets.install(new, installed, program, no_objection),
            lambda: sets.revert(installed, no_objection),
        ):
            with pytest.raises(FileRefused) as caught:
                act()
            assert caught.value.reason.startswith("another is being installed")

    assert sets.install(new, installed, program, second) == 2
    assert content(installed) == content(new)
