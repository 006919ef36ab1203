"""One WebRTC link to the robot, and the session that keeps it open. No ROS."""
