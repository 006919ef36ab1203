"""
ROS 2 driver for the Unitree Go2 over WebRTC.

Rooms, top to bottom; a module imports only from the rooms below its own
(``test/test_architecture.py`` holds this, ``docs/architecture.md`` draws it):

    start       whether the node can run here, then the node
    ros         rclpy: the lifecycle node, its parameters, messages and publishers
    checks      what looks at a machine or a robot without ROS
    session     keeps links open, one after the other, and the robot safe
    link        one open WebRTC link; the only door to aiortc and unitree_webrtc_connect
    signaling   the ways to a robot: HTTP, no WebRTC
    protocol    pure: bytes and dicts <-> typed values; no I/O, no clock
    config, velocity, complaints, files, tasks, errors    leaves

``sim`` is the robot's side of the wire: it stands on ``protocol`` alone.
"""
