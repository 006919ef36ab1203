"""A simulated Go2: the robot's side of the wire, for tests, demos and development."""
