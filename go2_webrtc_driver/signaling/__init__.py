"""The ways to a robot: who it is, where it is, and how an offer gets there. HTTP, no WebRTC."""
