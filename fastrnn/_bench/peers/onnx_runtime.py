"""ONNX Runtime's operators RNN, GRU and LSTM, inference only. Arrays are (time, batch, features), handed over so."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from fastrnn._bench.cases import STATES, Array, Case, reorder

VERSION: str = onnxruntime.__version__
ORDER = {"rnn": [0], "gru": [0, 1, 2], "lstm": [0, 3, 1, 2]}  # of Keras's gates


class Peer:
    def __init__(self, case: Case, threads: int) -> None:
        if case.dtype != "float32":
            raise NotImplementedError("ONNX Runtime computes in float32 only")
        B, T, I, H = case.shape
        a, order, n = case.arrays, ORDER[case.cell], STATES[case.cell]
        bias = a["bias"] if case.cell == "gru" else (a["bias"], np.zeros_like(a["bias"]))
        weights = {
            "W": reorder(a["kernel"], order).T[None],
            "R": reorder(a["recurrent_kernel"], order).T[None],
            "B": np.concatenate([reorder(b, order) for b in bias])[None],
        }
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        states = {name: (TensorProto.FLOAT, [1, B, H]) for name in ("initial_h", "initial_c")[:n]}

        def session(T: int, **more: Any) -> Any:
            inputs = {"X": (TensorProto.FLOAT, [T, B, I]), **more}
            names = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c"]
            node = helper.make_node(
                case.cell.upper(),
                [name if name in inputs or name in weights else "" for name in names[: 5 + n]],
                ["Y"],
                hidden_size=H,
                **({"linear_before_reset": 1} if case.cell == "gru" else {}),
            )
            graph = helper.make_graph(
                [node],
                case.cell,
                [helper.make_tensor_value_info(name, *what) for name, what in inputs.items()],
                [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [T, 1, B, H])],
                [numpy_helper.from_array(np.ascontiguousarray(w), name) for name, w in weights.items()],
            )
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
            return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

        x = np.ascontiguousarray(a["x"].swapaxes(0, 1))
        self.feed = {"X": x}
        if case.lengths is not None:
            self.feed["sequence_lens"] = case.lengths.astype(np.int32)
        self.step_feed = {"X": x[:1], **dict(zip(states, a["states"][:, None], strict=True))}
        self.session = session(T, **({} if case.lengths is None else {"sequence_lens": (TensorProto.INT32, [B])}))
        self.step_session = session(1, **states)

    def forward(self) -> Any:
        return self.session.run(None, self.feed)

    def step(self) -> Any:
        return self.step_session.run(None, self.step_feed)[0]

    def arrays(self, result: Any) -> list[Array]:
        return [result[0][:, 0].swapaxes(0, 1)] if isinstance(result, list) else [result[0, 0]]
