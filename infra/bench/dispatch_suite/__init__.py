"""`make bench-dispatch`: who goes next, where and how many at once, beside what a user would write."""
