"""Make the embedded data sets: one module a set, and what several of them share."""
