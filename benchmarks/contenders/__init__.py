"""What does the same reset: the program, and what somebody would write instead of it."""
