"""Keeps links open, one after the other, and the robot safe; knows a link by a Protocol only."""
