"""Coverage-guided fuzzing of the container and of the whole decoder: `python -m tests.fuzz` (needs atheris)."""
