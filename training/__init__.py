"""Offline: interactions and item content in, a bundle out. One file per stage."""
