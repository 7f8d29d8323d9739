"""Environments of our own: gridworlds, mazes, object- and binaryworld, random MDPs."""
