"""`python -m xmcbench`."""

from xmcbench.cli import main

raise SystemExit(main())
