"""What the program is measured by: made-up work, those it competes with, and the scenarios that set them going.

`make bench` runs it. Everything starts its own PostgreSQL, broker and workers; nothing here is needed to use the
program.
"""
