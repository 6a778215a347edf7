"""Tables and figures of the paper's experiments, one a module: `TITLE`, `CAPTION`, and `table` or `draw` of the rows.

A module whose name begins with `f` draws a figure (`draw(rows) -> Figure`); any other makes a table
(`table(rows) -> (numbers, text)`). Names that begin with `_` are shared parts. A new one is a new file, and the name of
it in `shows` of the grid that makes its runs.
"""
