"""`python -m hil.package [--into DIRECTORY] [--only NAME]`: packages; their names, sizes, sums."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from hil.net.process import REPOSITORY
from hil.package import contents, deb, environment, recipe


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="hil.package")
    parser.add_argument("--into", type=Path, default=REPOSITORY / "build/deb")
    parser.add_argument("--compression", choices=["xz", "gzip", "none"], default="xz")
    parser.add_argument("--only", choices=[each.name for each in recipe.EVERY])
    given = parser.parse_args(arguments)
    try:
        for each in recipe.EVERY:
            if given.only in {None, each.name}:
                _told(deb.build(given.into.absolute(), given.compression, each))
    except environment.NoWheels as error:
        print(f"deb: the locked wheels are not all to be had:\n{error}", file=sys.stderr)
        return 1
    except deb.Failed as error:
        print(f"deb: {error}", file=sys.stderr)
        return 1
    except contents.Unplaced as error:
        print(f"deb: hil/package/contents.py does not say where {error} goes", file=sys.stderr)
        return 1
    return 0


def _told(built: deb.Built) -> None:
    data = built.path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    print(f"{digest}  {built.path}  {len(data) / 1e6:.1f} MB, {built.took_s:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
