"""Commands that train models to compare them, or make pictures to train on."""
