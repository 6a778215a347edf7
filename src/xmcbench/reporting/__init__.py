"""Reporting knows only CSV (but for `collect`, which makes it): tables, figures, the page. Torch is never imported."""
