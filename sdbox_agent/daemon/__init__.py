"""The shell around the core: one event loop, the effects, the local socket."""
