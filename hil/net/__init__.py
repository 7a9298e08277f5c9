"""Networks of the rig: namespaces, links, observers."""
