"""What the simulated robot is: pose, legs, battery."""
