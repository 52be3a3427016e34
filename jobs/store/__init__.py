"""The job tables: every statement named, and the migrations."""
