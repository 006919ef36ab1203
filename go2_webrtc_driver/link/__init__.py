"""One open WebRTC link to one robot; the only door to aiortc and unitree_webrtc_connect."""
