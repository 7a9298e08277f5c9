"""The box's side of the centre: what goes over the wire, and how."""
