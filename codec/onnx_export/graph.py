"""Graphs of ONNX, put together layer by layer. Arrays are (batch, channels, rows, columns)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
"""Old enough for every runtime of the last years."""
IR_VERSION = 8


class Graph:
    """A network under construction. Methods add nodes and return the name of their output.

    Args:
        name: of the network.
        tensors: the weights by name, float16 or float32; the former stay so in the file and are widened when it is loaded.
    """

    def __init__(self, name: str, tensors: Mapping[str, np.ndarray]) -> None:
        self.name = name
        self.tensors = tensors
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._numbers: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Adds a node with one output."""
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: object, dtype: str = "float32") -> str:
        """Numbers of a type, of any shape."""
        array = np.asarray(values, dtype)
        number = self._numbers.setdefault((array.dtype.str, array.shape, array.tobytes()), len(self._numbers))
        return self._store(f"constant_{number}", array)

    def weight(self, name: str, shape: Sequence[int] | None = None) -> str:
        """A tensor of the weights, as float32 and in another shape where one is given."""
        values = self.tensors[name] if shape is None else self.tensors[name].reshape(shape)
        stored = self._store(name, values)
        return self.add("Cast", stored, to=TensorProto.FLOAT) if values.dtype == np.float16 else stored

    def _store(self, name: str, values: np.ndarray) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def linear(self, x: str, name: str) -> str:
        """A layer of 1 x 1."""
        outputs, inputs = self.tensors[f"{name}.weight"].shape
        return self.add("Conv", x, self.weight(f"{name}.weight", (outputs, inputs, 1, 1)), self.weight(f"{name}.bias"))

    def depthwise(self, x: str, name: str) -> str:
        """A layer of 3 x 3 for each channel, with zeros beyond the borders."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("Conv", x, weight, bias, group=len(self.tensors[f"{name}.bias"]), pads=[1, 1, 1, 1])

    def depth_to_space(self, x: str, factor: int) -> str:
        """Pixel-shuffle."""
        return self.add("DepthToSpace", x, blocksize=factor, mode="DCR")

    def reduce(self, x: str, factor: int) -> str:
        """Inverse of `enlarge`."""
        return self.add("SpaceToDepth", x, blocksize=factor)

    def row(self, name: str, level: str) -> str:
        """The row (1, C, 1, 1) of a table (levels, C) at a level (1), beyond the ends extrapolated."""
        table = self.weight(name)
        rows, channels = self.tensors[name].shape
        low = self.add("Clip", self.add("Floor", level), self.constant(0), self.constant(rows - 2))
        place = self.add("Cast", low, to=TensorProto.INT64)
        first = self.add("Gather", table, place)
        second = self.add("Gather", table, self.add("Add", place, self.constant(1, "int64")))
        step = self.add("Mul", self.add("Sub", level, low), self.add("Sub", second, first))
        return self.add("Reshape", self.add("Add", first, step), self.constant([1, channels, 1, 1], "int64"))

    def gain(self, name: str, level: str) -> str:
        """The exponential of a row."""
        return self.add("Exp", self.row(name, level))

    def entropy_block(self, x: str, name: str) -> str:
        """A block of the means and of the hyper analysis."""
        mixed = self.depthwise(self.add("Relu", self.linear(x, f"{name}.mix_in")), f"{name}.depthwise")
        x = self.add("Add", x, self.linear(mixed, f"{name}.mix_out"))
        return self.add("Add", x, self.linear(self.add("Relu", self.linear(x, f"{name}.up")), f"{name}.down"))

    def transform_block(self, x: str, name: str, limit: float) -> str:
        """A block of the analysis and synthesis, with features clamped to -limit to limit."""
        mixed = self.add("LeakyRelu", self.linear(x, f"{name}.mix_in"), alpha=0.1)
        x = self.add("Add", x, self.linear(self.depthwise(mixed, f"{name}.depthwise"), f"{name}.mix_out"))
        half = len(self.tensors[f"{name}.up.bias"]) // 2
        up = self.linear(x, f"{name}.up")
        value, gate = (
            self.add(
                "Slice",
                up,
                self.constant([first], "int64"),
                self.constant([first + half], "int64"),
                self.constant([1], "int64"),
            )
            for first in (0, half)
        )
        gated = self.add("Mul", value, self.add("HardSigmoid", gate, alpha=1 / 6, beta=0.5))
        x = self.add("Add", x, self.linear(gated, f"{name}.down"))
        return self.add("Clip", x, self.constant(-limit), self.constant(limit))

    def model(self, inputs: Mapping[str, Sequence[int | str]], output: str, name: str, shape: Sequence[int | str]) -> bytes:
        """The file of the network, whose output gets a name. Sides are numbers, or names where they are free."""
        self._nodes.append(helper.make_node("Identity", [output], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            self.name,
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, sides) for key, sides in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            list(self._constants.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="cae-codec")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return model.SerializeToString()
