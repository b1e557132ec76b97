"""Calibrating the machine that this runs on: microbenchmarks of single operators, a few whole networks, and the profile fitted to both.

`plan -> measure (journalled) -> fit -> profile text`. Needs torch, as `costmodel.reference` does.
"""
