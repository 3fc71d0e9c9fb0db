"""Pictures and patches to train on, and what is done to them first."""
