"""Commands that measure what decoded pictures are good for: other sizes, denoising, defects."""
