"""What the simulated robot sees: the room, its camera's picture, its lidar."""
