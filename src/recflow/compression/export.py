"""From an encoder to ONNX files: export, graph optimisation, dynamic int8."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recflow.errors import PermanentError
from recflow.tasks.onnx_graph import Interface, quiet_exporters, write_onnx

OUTPUT = "sentence_embedding"
_INPUTS = ["input_ids", "attention_mask"]
_MAX_TEXTS, _MAX_TOKENS = 65_536, 512
_BLOCK = 32
_LARGE_TABLE = 4096


def export_fp32(encoder: nn.Module, target: Path, *, opset: int) -> None:
    """Write an encoder as ONNX with any number of texts and tokens, its graph optimised by onnxruntime."""
    ids = torch.ones(2, 8, dtype=torch.long)
    texts, tokens = torch.export.Dim("texts", max=_MAX_TEXTS), torch.export.Dim("tokens", max=_MAX_TOKENS)
    shape = {0: texts, 1: tokens}
    backbone: Any = encoder.backbone
    backbone.set_attn_implementation("eager")  # its graph has a third fewer nodes than sdpa's
    inputs = dict(zip(_INPUTS, (ids, torch.ones_like(ids)), strict=True))
    write_onnx(encoder, Interface(inputs, (shape, shape), OUTPUT), target, opset=opset)


def quantise_int8(source: Path, target: Path) -> None:
    """Dynamic int8: weights and embeddings per channel, in 7 bits so that CPUs without VNNI do not overflow."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporters():
        quantize_dynamic(str(source), str(target), weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def quantise_int8_blocks(source: Path, target: Path) -> None:
    """int8 with a scale for every 32 weights, and for every 32 activations of one token; embeddings by row."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

    rule = DefaultWeightOnlyQuantConfig(block_size=_BLOCK, is_symmetric=True, accuracy_level=4, bits=8)
    with quiet_exporters():
        quantiser = MatMulNBitsQuantizer(onnx.load(str(source)), algo_config=rule)
        quantiser.process()
    model = quantiser.model.model
    _quantise_tables(model.graph)
    onnx.save(model, str(target))


def _quantise_tables(graph: Any) -> None:
    """Turn each large Gather(table, ids) into Gather(int8 table, ids) * Gather(scales, ids)."""
    from onnx import helper, numpy_helper

    tables = {item.name: item for item in graph.initializer}
    nodes = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        values = numpy_helper.to_array(table) if table is not None else np.empty(0)
        if values.ndim != 2 or len(values) < _LARGE_TABLE:
            nodes.append(node)
            continue
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
        name, ids = node.output[0], node.input[1]
        graph.initializer.remove(table)
        graph.initializer.append(numpy_helper.from_array(np.rint(values / scales).astype(np.int8), f"{name}.table"))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}.scales"))
        nodes += [
            helper.make_node("Gather", [f"{name}.table", ids], [f"{name}.rows"]),
            helper.make_node("Gather", [f"{name}.scales", ids], [f"{name}.factors"]),
            helper.make_node("Cast", [f"{name}.rows"], [f"{name}.cast"], to=1),
            helper.make_node("Mul", [f"{name}.cast", f"{name}.factors"], [name]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def refuse_broken(model: Path) -> None:
    """PermanentError unless onnxruntime loads the file and it has the agreed inputs and output."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no public base class
        raise PermanentError(f"{model.name} cannot be loaded", expected="an ONNX model", seen=str(error)) from error
    names = [item.name for item in session.get_inputs()], [item.name for item in session.get_outputs()]
    if names != (_INPUTS, [OUTPUT]):
        raise PermanentError(f"{model.name} is another model", expected=f"{_INPUTS} to {OUTPUT}", seen=str(names))
