"""Profiles: small summaries of a table's columns that can be merged and compared; pure, numpy alone.

grid      numbers → cells of a fixed grid, counted in one pass
bins      cells → some thousand bins of about equal mass, or edges where the grid is too coarse
number    what a column of numbers holds: counts in bins, missing and infinite values, moments
category  what a column of names holds: the counts of the commonest, and how many are left out
table     a profile for each column, folded from batches of any kind of table
stored    profiles as JSON and back
"""
