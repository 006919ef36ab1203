"""What looks at a machine or a robot without ROS."""
