"""What the parts cost: each bench measures ours beside a peer that does the least that could be done.

Machines differ, and so does one machine from minute to minute; the ratio of two things measured in turns
mostly does not. So targets are ratios, and the figures beside them say where they come from.
"""
