"""Commands that measure uses of the codec beside plain coding: other sizes, denoising, defects."""
