"""Labelled images on disk, their cameras, and the one crop everything uses. Runs without torch."""
