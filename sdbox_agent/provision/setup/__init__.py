"""A fresh Debian made a box, by a file of answers that staff signed; and a box unmade."""
