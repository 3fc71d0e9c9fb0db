"""The networks of a model as ONNX files: what FORMAT.md specifies, and the encoder's two."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..entropy.scale_model import EDGES
from ..networks.config import FEATURE_LIMIT, FEATURE_STRIDE, WIDE_LIMIT, Config
from ..networks.decoding import LATENT_BITS
from .graph import Graph

Tensors = Mapping[str, np.ndarray]
_LEVEL = {"level": [1]}
_UNKNOWN = "batch", "rows", "columns"


def make_means(tensors: Tensors, config: Config) -> bytes:
    """Hyper-latent (1, Z, ⌈h/4⌉, ⌈w/4⌉), symbols (1, N, h, w) and level (1) to the means (1, N, h, w).

    The means of anchors do not depend on the symbols, those of the others on the anchors' alone.
    """
    graph, n = Graph("means", tensors), config.latent_channels
    hyper, symbols, name = "hyper", "symbols", "means/hyper_synthesis"
    f = graph.entropy_block(graph.depth_to_space(graph.linear(hyper, f"{name}.enter"), 2), f"{name}.block_half")
    f = graph.add("Add", graph.depth_to_space(graph.linear(f, f"{name}.upsample"), 2), graph.row("means/quality_bias", "level"))
    f = graph.entropy_block(f, f"{name}.block")
    sides = graph.add("Shape", symbols, start=2)
    f = graph.add("Slice", f, graph.constant([0, 0], "int64"), sides, graph.constant([2, 3], "int64"))
    f = graph.entropy_block(f, "means/anchor_block")
    anchors = graph.linear(f, "means/anchor_head")
    is_anchor = _checkerboard(graph, sides, n)
    latent_of_anchors = graph.add("Where", is_anchor, graph.add("Add", anchors, symbols), graph.constant(0))
    f = graph.add("Add", f, graph.linear(graph.add("Asinh", latent_of_anchors), "means/embed"))
    for number in range(config.context_blocks):
        f = graph.entropy_block(f, f"means/context_blocks.{number}")
    around = graph.constant(_neighbour_kernels(tensors["means/neighbour_weight"], n))
    neighbours = graph.add("Conv", symbols, around, group=n, pads=[1, 1, 1, 1])
    others = graph.add("Add", graph.linear(f, "means/context_head"), neighbours)
    means = graph.add("Where", is_anchor, anchors, others)
    batch, rows, columns = _UNKNOWN
    inputs = {
        hyper: [batch, config.hyper_channels, "hyper_rows", "hyper_columns"],
        symbols: [batch, n, rows, columns],
    }
    return graph.model(inputs | _LEVEL, means, "means", [batch, n, rows, columns])


def _checkerboard(graph: Graph, sides: str, channels: int) -> str:
    """Returns where (row + column + channel) is even: (1, channels, rows, columns)."""
    zero, one = graph.constant(0, "int64"), graph.constant(1, "int64")
    shapes = ([-1, 1], [-1])
    rows, columns = (
        graph.add(
            "Reshape",
            graph.add("Range", zero, graph.add("Gather", sides, graph.constant(axis, "int64")), one),
            graph.constant(shape, "int64"),
        )
        for axis, shape in enumerate(shapes)
    )
    channel = graph.constant(np.arange(channels).reshape(1, channels, 1, 1), "int64")
    total = graph.add("Add", graph.add("Add", rows, columns), channel)
    return graph.add("Equal", graph.add("Mod", total, graph.constant(2, "int64")), zero)


def _neighbour_kernels(weight: np.ndarray, channels: int) -> np.ndarray:
    """Kernels (channels, 1, 3, 3) of the symbols above, left, right and below; zeros for all but the leading channels."""
    kernels = np.zeros((channels, 1, 3, 3), np.float32)
    for (row, column), values in zip(EDGES, weight, strict=True):
        kernels[: len(values), 0, 1 + row, 1 + column] = values
    return kernels


def make_synthesis(tensors: Tensors, config: Config) -> bytes:
    """Latent (1, N, h, w), in 1/64 of a quantisation step, and level (1) to pixels (1, 3, 16h, 16w), about -1/2 to 1/2."""
    graph, (batch, rows, columns) = Graph("synthesis", tensors), _UNKNOWN
    gain = graph.add("Mul", graph.gain("levels/log_gain", "level"), graph.constant(2**LATENT_BITS))
    f = graph.add("Div", "latent", gain)
    if config.synthesis_wide_blocks:
        f = graph.add("Mul", f, graph.gain("synthesis/log_wide_gain", "level"))
    for number in range(config.synthesis_wide_blocks):
        f = graph.transform_block(f, f"synthesis/wide_blocks.{number}", WIDE_LIMIT)
    f = graph.depth_to_space(graph.linear(f, "synthesis/from_latent"), 2)
    f = graph.add("Mul", f, graph.gain("synthesis/log_feature_gain", "level"))
    for number in range(config.synthesis_blocks):
        f = graph.transform_block(f, f"synthesis/blocks.{number}", FEATURE_LIMIT)
    pixels = graph.depth_to_space(graph.linear(f, "synthesis/patch_out"), FEATURE_STRIDE)
    inputs = {"latent": [batch, config.latent_channels, rows, columns]}
    return graph.model(inputs | _LEVEL, pixels, "pixels", [batch, 3, "height", "width"])


def make_analysis(tensors: Tensors, config: Config) -> bytes:
    """Pixels (1, 3, 16h, 16w), -1/2 to 1/2, and level (1) to the latent (1, N, h, w) in quantisation steps."""
    graph, (batch, rows, columns) = Graph("analysis", tensors), _UNKNOWN
    f = graph.linear(graph.reduce("pixels", FEATURE_STRIDE), "analysis/patch_in")
    f = graph.add("Mul", f, graph.gain("analysis/log_feature_gain", "level"))
    for number in range(config.analysis_blocks):
        f = graph.transform_block(f, f"analysis/blocks.{number}", FEATURE_LIMIT)
    f = graph.linear(graph.reduce(f, 2), "analysis/to_latent")
    for number in range(config.analysis_wide_blocks):
        f = graph.transform_block(f, f"analysis/wide_blocks.{number}", WIDE_LIMIT)
    if config.analysis_wide_blocks:
        f = graph.add("Mul", f, graph.gain("analysis/log_wide_gain", "level"))
    latent = graph.add("Mul", f, graph.gain("levels/log_gain", "level"))
    inputs = {"pixels": [batch, 3, "height", "width"]}
    return graph.model(inputs | _LEVEL, latent, "latent", [batch, config.latent_channels, rows, columns])


def make_hyper_analysis(tensors: Tensors, config: Config) -> bytes:
    """Latent (1, N, 4h, 4w) in quantisation steps to the hyper-latent (1, Z, h, w), not rounded."""
    graph, (batch, rows, columns) = Graph("hyper_analysis", tensors), _UNKNOWN
    f = graph.linear(graph.add("Asinh", "latent"), "hyper_analysis/enter")
    f = graph.entropy_block(f, "hyper_analysis/block")
    f = graph.linear(graph.reduce(f, 2), "hyper_analysis/downsample")
    f = graph.entropy_block(f, "hyper_analysis/block_half")
    hyper = graph.linear(graph.reduce(f, 2), "hyper_analysis/leave")
    inputs = {"latent": [batch, config.latent_channels, rows, columns]}
    return graph.model(inputs, hyper, "hyper", [batch, config.hyper_channels, "hyper_rows", "hyper_columns"])


NETWORKS = {
    "means": make_means,
    "synthesis": make_synthesis,
    "analysis": make_analysis,
    "hyper_analysis": make_hyper_analysis,
}
"""Makers of the networks' files, by name."""
