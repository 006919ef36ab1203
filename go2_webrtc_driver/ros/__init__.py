"""The lifecycle node: adapts the session to ROS and decides nothing."""
