"""Parts that the commands share: images, metrics, points, curves, BD-rates, reports and plots."""
