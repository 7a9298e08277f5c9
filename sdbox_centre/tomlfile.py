"""A settings file, read whole as exactly what it should be [door]."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from sdbox_agent.errors import Fault

MAX_FILE_BYTES: Final = 1024 * 1024
Setting = TypeVar("Setting", bound=Struct)


def load(path: Path, kind: type[Setting]) -> Setting:
    """Read a TOML file as exactly `kind`. Raises Fault: config-invalid, for the cause given."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES)
        return msgspec.convert(tomllib.loads(text.decode()), kind)
    except OSError as error:
        raise Fault("config-invalid") from error
    except ValueError as error:  # TOML's and msgspec's are ValueErrors, and name no file
        raise Fault("config-invalid") from ValueError(f"{path}: {error}")


def beside(settings_file: Path, name: str) -> Path:
    """A path named in a settings file."""
    return settings_file.parent / Path(name)
