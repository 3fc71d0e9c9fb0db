"""The networks as ONNX and the integer tables as plain arrays, for decoders and encoders in other languages."""
