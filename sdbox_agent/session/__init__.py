"""The core: a pure machine from events to effects (design section 5)."""
