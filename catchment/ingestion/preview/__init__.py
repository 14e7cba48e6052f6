"""A proposed schema tried on submissions of the past: what it would refuse, and what is sent that it does not name."""
