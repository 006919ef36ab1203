"""
ROS 2 driver for the Unitree Go2 over WebRTC.

Layers, top to bottom; a module imports only from the layers below its own
(``test/test_architecture.py`` holds this):

    ros         rclpy: the lifecycle node, its parameters, messages and publishers
    connection  asyncio: one WebRTC link, and the session that keeps it open
    protocol    pure: bytes and dicts <-> typed values; no I/O, no clock
    config, velocity_gate, errors    pure leaves

``sim`` is the robot's side of the wire: it stands on ``protocol`` alone.
"""
