"""Write a migration anew from tables.py: `make migration N=0002 WHAT="access at the centre"`.

What stands in versions/vN.py is replaced by what takes a database of the version before to the
tables as they are now. Read it before it is committed: a rename looks like a loss.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

from sdbox_centre import schema
from sdbox_centre.store import Store


def main(number: str, what: str) -> None:
    """Nothing is written if the tables are those of the version before."""
    path = schema.MIGRATIONS / f"versions/v{number}.py"
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory) / "before.db")
        with store.alone() as tx:
            config = schema.config_for(tx)
            config.set_main_option("file_template", "v%%(rev)s")
            if any(schema.MIGRATIONS.glob("versions/v*.py")):
                command.upgrade(config, "head")
            command.revision(config, what, autogenerate=True, rev_id=number)
        store.close()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "# ###" not in line))  # Alembic's remarks
    for act in (["check", "--fix", "-q"], ["format", "-q"]):
        subprocess.run([Path(sys.executable).with_name("ruff"), *act, path], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
