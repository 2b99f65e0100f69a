"""The pure core: what should be, what differs, in which order it is mended, what is said of it.

No I/O, no clock, no framework: every function takes values and returns values.
"""
