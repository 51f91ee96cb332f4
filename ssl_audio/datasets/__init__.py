"""Data sets, one file each: where it is from, its licence, its faults, and `clips()`, its sounds."""
