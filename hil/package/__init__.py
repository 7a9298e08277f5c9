"""Debian packages, made of this repository and of the wheels that uv.lock names.

    make deb        python -m hil.package          build/deb: a box's (sdbox-agent), the centre's
    make hil-deb    python -m hil.package.trial    their lives: installed, upgraded, purged

It stands beside the rig, not in the agent: no box builds a package, and nothing of this directory
is in one. The same commit makes the same bytes on any machine with Debian 12's compiler, whatever
the directory, umask, time zone or language. `recipe` says in what the two differ, `contents` which
of our files go where (`imports`: what leads to what), `environment` what of the wheels; `manual`
and `sbom` are written from the command line's tree and from the lock; `deb` puts them together;
`scripts/` is what dpkg runs on a machine. `clean` and `booted` are what `trial` tries them in.
"""
