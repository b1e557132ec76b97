"""Fitting profiles to measured rows, and judging profiles on them.

`read_rows -> collect -> fit -> Calibration -> profile text`, and `collect -> validate -> Validation`; each arrow one pure function.
scipy is used in this room alone.
"""
