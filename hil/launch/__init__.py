"""A small launcher that plays systemd, from the very unit files a box has.

It does what our processes rely on: users and capabilities, sockets kept and passed, one process a
connection, sd_notify with its descriptor store, watchdog, restart, own mount and network
namespaces. What it does not play (system call filters, read-only file systems, …) is listed by name
in units.py; those run under the real systemd only.
"""
