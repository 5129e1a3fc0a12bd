"""Graphs of ONNX, written as expressions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..._optional import import_optional

# Not the latest ones: experiments do not change their runtime often.
OPSET = 18
IR_VERSION = 8


class Value:
    """A tensor of a graph. Arithmetic with it, and with arrays, adds nodes.

    Arrays take the type of the tensor that they meet.

    Parameters
    ----------
    graph : Graph
        The graph.
    name : str
        Name of the tensor there.
    dtype : dtype
        Type of its elements.
    """

    # Else numpy would take the operators of `array * value` elementwise.
    __array_ufunc__ = None

    def __init__(self, graph: Graph, name: str, dtype: DTypeLike) -> None:
        self.graph = graph
        self.name = name
        self.dtype = np.dtype(dtype)

    def __add__(self, other: Any) -> Value:
        return self._with("Add", other)

    def __radd__(self, other: Any) -> Value:
        return self._with("Add", other)

    def __sub__(self, other: Any) -> Value:
        return self._with("Sub", other)

    def __rsub__(self, other: Any) -> Value:
        return self._like(other)._with("Sub", self)

    def __mul__(self, other: Any) -> Value:
        return self._with("Mul", other)

    def __rmul__(self, other: Any) -> Value:
        return self._with("Mul", other)

    def __truediv__(self, other: Any) -> Value:
        return self._with("Div", other)

    def __rtruediv__(self, other: Any) -> Value:
        return self._like(other)._with("Div", self)

    def __matmul__(self, other: Any) -> Value:
        return self._with("MatMul", other)

    def __neg__(self) -> Value:
        return self.apply("Neg")

    def __lt__(self, other: Any) -> Value:
        return self._with("Less", other, bool)

    def __le__(self, other: Any) -> Value:
        return self._with("LessOrEqual", other, bool)

    def __gt__(self, other: Any) -> Value:
        return self._with("Greater", other, bool)

    def __ge__(self, other: Any) -> Value:
        return self._with("GreaterOrEqual", other, bool)

    def __and__(self, other: Value) -> Value:
        return self._with("And", other)

    def __invert__(self) -> Value:
        return self.apply("Not")

    def equals(self, other: Any) -> Value:
        """Compare for equality."""
        return self._with("Equal", other, bool)

    def maximum(self, other: Any) -> Value:
        """Take the larger one, element by element."""
        return self._with("Max", other)

    def minimum(self, other: Any) -> Value:
        """Take the smaller one, element by element."""
        return self._with("Min", other)

    def clip(self, low: Any, high: Any) -> Value:
        """Keep elements between two bounds."""
        return self.maximum(low).minimum(high)

    def apply(self, operator: str, *others: Any, **attributes: Any) -> Value:
        """Add a node whose result has the type of this tensor."""
        return self.graph.node(operator, self, *others, dtype=self.dtype, **attributes)

    def cast(self, dtype: DTypeLike) -> Value:
        """Convert the elements."""
        if self.dtype == np.dtype(dtype):
            return self
        return self.graph.node(
            "Cast", self, dtype=dtype, to=_element_type(np.dtype(dtype))
        )

    def sum(self, axis: int, keepdims: bool = False) -> Value:
        """Add up along an axis."""
        return self._reduce("ReduceSum", axis, keepdims)

    def max(self, axis: int, keepdims: bool = False) -> Value:
        """Take the largest element along an axis."""
        return self._reduce("ReduceMax", axis, keepdims)

    def take(self, indices: ArrayLike | Value, axis: int = -1) -> Value:
        """Select along an axis; a single index takes the axis away."""
        if not isinstance(indices, Value):
            indices = self.graph.constant(np.asarray(indices, dtype=np.int64))
        return self.apply("Gather", indices, axis=axis)

    def slice(self, start: int, end: int, axis: int = -1) -> Value:
        """Select a range along an axis."""
        ends = [np.array([place], dtype=np.int64) for place in (start, end, axis)]
        return self.apply("Slice", *map(self.graph.constant, ends))

    def reshape(self, *shape: int) -> Value:
        """Change the shape; 0 stands for the dimension that there was."""
        return self.apply(
            "Reshape", self.graph.constant(np.array(shape, dtype=np.int64))
        )

    def expand_dims(self, axis: int) -> Value:
        """Insert an axis of length one."""
        return self.apply(
            "Unsqueeze", self.graph.constant(np.array([axis], dtype=np.int64))
        )

    def transpose(self, *axes: int) -> Value:
        """Permute the axes."""
        return self.apply("Transpose", perm=axes)

    def length(self, axis: int) -> Value:
        """Length of an axis, as an int64 tensor of shape (1,)."""
        return self.graph.node(
            "Shape", self, dtype=np.int64, start=axis, end=axis + 1 or None
        )

    def _with(self, operator: str, other: Any, dtype: DTypeLike | None = None) -> Value:
        return self.graph.node(
            operator, self, self._like(other), dtype=dtype or self.dtype
        )

    def _like(self, other: Any) -> Value:
        if isinstance(other, Value):
            return other
        return self.graph.constant(np.asarray(other, dtype=self.dtype))

    def _reduce(self, operator: str, axis: int, keepdims: bool) -> Value:
        axes = self.graph.constant(np.array([axis], dtype=np.int64))
        return self.apply(operator, axes, keepdims=int(keepdims))


class Graph:
    """A graph that grows node by node.

    Attributes
    ----------
    described : dict of str to dict
        Inputs and outputs by name, with what is known of them.
    """

    def __init__(self) -> None:
        self._onnx = import_optional("onnx", "onnx")
        self._nodes: list[Any] = []
        self._constants: dict[Any, Any] = {}
        self._inputs: dict[str, Any] = {}
        self._outputs: list[Any] = []
        self._n_names = 0
        self.described: dict[str, dict[str, Any]] = {"inputs": {}, "outputs": {}}

    def input(
        self,
        name: str,
        dtype: DTypeLike,
        shape: Sequence[str | int],
        **description: Any,
    ) -> Value:
        """Declare an input.

        Parameters
        ----------
        name : str
            Its name.
        dtype : dtype
            Type of its elements.
        shape : sequence of str or int
            Its shape; names stand for lengths that may vary.
        **description : dict
            What is known of it.

        Returns
        -------
        Value
            The tensor.
        """
        if name not in self._inputs:
            self._inputs[name] = self._declare(name, dtype, shape)
            self._describe("inputs", name, dtype, shape, description)
        return Value(self, name, dtype)

    def output(
        self, name: str, value: Value, shape: Sequence[str | int], **description: Any
    ) -> None:
        """Declare an output; numbers of double precision are rounded to single.

        Parameters
        ----------
        name : str
            Its name.
        value : Value
            The tensor.
        shape : sequence of str or int
            Its shape.
        **description : dict
            What is known of it.
        """
        if value.dtype == np.float64:
            value = value.cast(np.float32)
        self._add("Identity", [value.name], [name])
        self._outputs.append(self._declare(name, value.dtype, shape))
        self._describe("outputs", name, value.dtype, shape, description)

    def constant(self, array: NDArray) -> Value:
        """Hold an array; equal ones are held once."""
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._onnx.numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(array.shape), self._name()
            )
        return Value(self, self._constants[key].name, array.dtype)

    def node(
        self, operator: str, *inputs: Value, dtype: DTypeLike, **attributes: Any
    ) -> Value:
        """Add a node with one result.

        Parameters
        ----------
        operator : str
            Operator of ONNX.
        *inputs : Value
            Its arguments.
        dtype : dtype
            Type of the result.
        **attributes : dict
            Attributes of the operator.

        Returns
        -------
        Value
            The result.
        """
        return self.nodes(operator, *inputs, dtypes=[dtype], **attributes)[0]

    def nodes(
        self,
        operator: str,
        *inputs: Value | None,
        dtypes: Sequence[DTypeLike],
        **attributes: Any,
    ) -> list[Value]:
        """Add a node with several results; None is an argument left out."""
        outputs = [Value(self, self._name(), dtype) for dtype in dtypes]
        self._add(
            operator,
            ["" if value is None else value.name for value in inputs],
            [value.name for value in outputs],
            **attributes,
        )
        return outputs

    def where(self, condition: Value, chosen: Value, other: Any) -> Value:
        """Choose between two tensors, element by element."""
        return self.node(
            "Where", condition, chosen, chosen._like(other), dtype=chosen.dtype
        )

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """Join tensors along an axis."""
        if len(parts) == 1:
            return parts[0]
        return self.node("Concat", *parts, dtype=parts[0].dtype, axis=axis)

    def repeat(
        self,
        n_steps: int,
        state: Sequence[Value],
        step: Callable[..., tuple[Value, list[Value]]],
    ) -> list[Value]:
        """Repeat a step until it says that no more is needed.

        Parameters
        ----------
        n_steps : int
            Largest number of steps.
        state : sequence of Value
            What the first step begins with.
        step : callable
            Takes a state; returns whether to go on, a bool of shape (), and the next
            state.

        Returns
        -------
        list of Value
            The last state.
        """
        helper = self._onnx.helper
        outer, self._nodes = self._nodes, []
        before = [Value(self, self._name(), value.dtype) for value in state]
        index, goes_on = self._name(), self._name()
        more, after = step(*before)
        body = helper.make_graph(
            self._nodes,
            self._name(),
            [
                self._declare(index, np.int64, []),
                self._declare(goes_on, bool, []),
                *(self._declare(value.name, value.dtype, None) for value in before),
            ],
            [
                self._declare(more.name, bool, []),
                *(self._declare(value.name, value.dtype, None) for value in after),
            ],
        )
        self._nodes = outer
        return self.nodes(
            "Loop",
            self.constant(np.array(n_steps, dtype=np.int64)),
            self.constant(np.array(True)),
            *state,
            dtypes=[value.dtype for value in state],
            body=body,
        )

    def model(self, metadata: dict[str, str]) -> Any:
        """Put the graph together.

        Parameters
        ----------
        metadata : dict of str to str
            What the file tells about itself.

        Returns
        -------
        onnx.ModelProto
            The model, checked.
        """
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            "sklearn_hepcal",
            list(self._inputs.values()),
            self._outputs,
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sklearn_hepcal",
            producer_version=metadata["version"],
        )
        helper.set_model_props(model, metadata)
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _add(
        self, operator: str, inputs: list[str], outputs: list[str], **attributes: Any
    ) -> None:
        given = {key: value for key, value in attributes.items() if value is not None}
        self._nodes.append(
            self._onnx.helper.make_node(operator, inputs, outputs, **given)
        )

    def _name(self) -> str:
        self._n_names += 1
        return f"v{self._n_names}"

    def _declare(
        self, name: str, dtype: DTypeLike, shape: Sequence[str | int] | None
    ) -> Any:
        return self._onnx.helper.make_tensor_value_info(
            name, _element_type(np.dtype(dtype)), shape
        )

    def _describe(
        self,
        kind: str,
        name: str,
        dtype: DTypeLike,
        shape: Sequence[str | int],
        description: dict[str, Any],
    ) -> None:
        self.described[kind][name] = {
            "type": np.dtype(dtype).name,
            "shape": list(shape),
            **description,
        }


def _element_type(dtype: np.dtype) -> int:
    onnx = import_optional("onnx", "onnx")
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype))
