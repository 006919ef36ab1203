"""Command-line checks of a machine, without ROS and without a robot."""
