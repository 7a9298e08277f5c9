"""A Debian package, made of this repository and of the wheels that uv.lock names.

    make deb        python -m hil.package          build/deb/sdbox-agent_*.deb
    make hil-deb    python -m hil.package.trial    a box's life with it: installed, upgraded, purged

It stands beside the rig, not in the agent: no box builds a package, and nothing of this directory
is in one. The same commit makes the same bytes on any machine with Debian 12's compiler, whatever
the directory, umask, time zone or language. `contents` says which of our files go where,
`environment` what of the wheels; `manual` and `sbom` are written from the command line's tree and
from the lock; `deb` puts them together; `scripts/` is what dpkg runs on a box.
"""
