"""[door] Directories of one process, named after it, and the sweeping of those whose maker is dead.

A test that is killed leaves its directory behind. The next one removes what is surely such: a
directory of our own user, named as `made` names them, whose process is no more.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(
    r"sdbox-(?:rig|pcscd|test|card|tunnel|vm|boot)-([1-9][0-9]{0,9})-[a-z0-9_]{8}"
)


def made(kind: str) -> Path:
    """A new directory that everybody may look into; dead processes' are swept up first.

    Raises ValueError for a kind that would never be swept.
    """
    if not _NAME.fullmatch(f"sdbox-{kind}-1-xxxxxxxx"):
        raise ValueError("not a kind of directory that is swept")
    swept(Path(tempfile.gettempdir()))
    path = Path(tempfile.mkdtemp(prefix=f"sdbox-{kind}-{os.getpid()}-"))
    path.chmod(0o755)
    return path


def removed(tree: Path, patience_s: float = 5) -> None:
    """Remove it, though processes that are just ending still take files out of it or put some in.

    Raises OSError when it is still not empty then, or can't be removed.
    """
    end_s = time.monotonic() + patience_s
    while True:
        try:
            shutil.rmtree(tree, onerror=_went_by_itself)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        else:
            return


def _went_by_itself(
    _call: object, _path: str, raised: tuple[object, BaseException, object]
) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]


def swept(parent: Path) -> list[str]:
    """Remove what dead processes of this user left in `parent`; the names.

    A pid that lives again keeps its directory a while longer: that harms nobody. Symbolic links are
    neither taken for a directory nor followed in one.
    """
    removed = []
    for entry in sorted(parent.iterdir()):
        named = _NAME.fullmatch(entry.name)
        if named is None or _is_alive(int(named[1])):
            continue
        with contextlib.suppress(OSError):  # another one sweeps too
            status = entry.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                shutil.rmtree(entry)
                removed.append(entry.name)
    return removed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's by now
        return True
    return True
