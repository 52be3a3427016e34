"""Learners' training records: their tables, who and what a reset covers, what it does to them."""
