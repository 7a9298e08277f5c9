"""`sdbox-agent doctor`: is this machine fit to be a box, and whole? It changes nothing."""
