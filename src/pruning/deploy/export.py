"""Writing a trained network as a file that needs nothing of this project.

The file is compared with the network before it gets its name: what is there gives the same logits.
"""

import copy
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from pruning.deploy.narrow import narrowed
from pruning.deploy.trained import TrainedNetwork, facts, load_trained
from pruning.errors import PruningError, look_up
from pruning.files import atomic_path

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE = 1e-4  # largest difference of logits, as a fraction of the largest logit
EXAMPLES = 2  # a batch to trace with: of one, torch would take the size for a constant
COMPARED = (1, 3)  # batches to compare on, of sizes that were not traced
FACTS = "pruning"  # the metadata key of what the file has to be known with

Inputs = tuple[Tensor, ...]
Run = Callable[[Inputs], Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file.
        size: in bytes.
        network: what it holds.
        difference: largest difference of logits from the network's, as a fraction of the largest
            logit; None where nothing here can run the file.
    """

    path: Path
    size: int
    network: TrainedNetwork
    difference: float | None


def export(trained: Path | str, output: Path | str) -> Exported:
    """Write a network in the format that the output's ending says: .pt2, .onnx, .safetensors.

    Args:
        trained: a training's folder, or its ``state.safetensors``.
        output: the file to write.

    Raises:
        PruningError: an unknown ending, no network in the folder, a package that is missing, a
            network that cannot be traced, or a file that gives other logits than the network.
    """
    output = Path(output)
    write = look_up("ending of an output", output.suffix, WRITERS)
    if output.is_dir():
        raise PruningError(f"{output} is a folder. Name the file to write.")
    if write is write_onnx:
        require("onnx", "onnxscript")
    network = load_trained(trained)
    # Weights alone must fit the network that its code builds.
    written = network if write is write_safetensors else narrowed(network)
    with atomic_path(output) as temporary:
        run = write(written, temporary)
        difference = None if run is None else _compare(network, run, output)
        size = temporary.stat().st_size
    return Exported(output, size, written, difference)


def require(*packages: str) -> None:
    """Refuse to go on without optional packages.

    Raises:
        PruningError: some are not installed; says how to.
    """
    if absent := missing(*packages):
        raise PruningError(
            f"This needs {' and '.join(absent)}, which this environment does not have: "
            f"`pip install {' '.join(packages)}`."
        )


def missing(*packages: str) -> list[str]:
    """Which packages are not installed."""
    return [name for name in packages if importlib.util.find_spec(name) is None]


def write_pt2(network: TrainedNetwork, path: Path) -> Run:
    """An exported program of torch; :func:`torch.export.load` reads it."""
    program = _traced(network)
    program.example_inputs = None
    told = {f"{FACTS}.json": json.dumps(facts(network))}
    # As open files: by path torch wants the ending, which the temporary file does not have.
    with open(path, "wb") as file:
        torch.export.save(program, file, extra_files=told)
    with open(path, "rb") as file:
        module = torch.export.load(file).module()
    return lambda inputs: module(*inputs)


def write_onnx(network: TrainedNetwork, path: Path) -> Run | None:
    """An ONNX model, float32, one file."""
    traced = _traced(network)
    program = torch.onnx.export(traced, dynamo=True, output_names=["logits"], verbose=False)
    program.model.metadata_props[FACTS] = json.dumps(facts(network))
    program.save(str(path), external_data=False)
    if missing("onnxruntime"):
        return None
    session = onnx_session(path)
    return lambda inputs: torch.from_numpy(session.run(None, onnx_inputs(session, inputs))[0])


def onnx_session(path: Path, threads: int = 1) -> "InferenceSession":
    """An ONNX model in ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def onnx_inputs(session: "InferenceSession", inputs: Inputs) -> dict[str, np.ndarray]:
    """A network's arguments as a session takes them."""
    names = (one.name for one in session.get_inputs())
    return {name: one.numpy() for name, one in zip(names, inputs, strict=True)}


def write_safetensors(network: TrainedNetwork, path: Path) -> Run:
    """Weights and buffers by the names that torch has, and what network they are of."""
    # Copies: tensors that share memory are refused.
    tensors = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in network.module.state_dict().items()
    }
    # One metadata key, as safetensors does not keep the order of several. Its own writing of files
    # lets nobody else read them.
    path.write_bytes(save(tensors, metadata={FACTS: json.dumps(facts(network))}))
    module = copy.deepcopy(network.module)
    module.load_state_dict(load_file(path))
    return lambda inputs: module(*inputs)


WRITERS = {".pt2": write_pt2, ".onnx": write_onnx, ".safetensors": write_safetensors}


def describe(exported: Exported) -> str:
    """What was written, for people."""
    network, told = exported.network, facts(exported.network)
    lines = [
        f"{exported.path}: {exported.size:,} bytes",
        f"Network: {told['network']}, {told['parameters']:,} parameters, "
        f"{told['nonzero']:,} of them not zero, {told['macs']:,} MACs an example",
    ]
    if network.whole is not None:
        lines.append(
            f"Narrowed: {network.left_out:,} channels whose filters are gone are left out; with "
            f"zeros instead it has {network.whole.parameters:,} parameters and "
            f"{network.whole.macs:,} MACs"
        )
    elif network.kept is not None:
        kept, prunable = network.kept
        lines.append(
            f"Masks: {kept:,} of {prunable:,} prunable weights are kept, {network.kept_macs:,} "
            "MACs with the others skipped; masked weights are stored as zeros"
        )
    for one in told["inputs"]:
        lines.append(f"Input: {one['type']} ({', '.join(map(str, one['shape']))})")
    if told["normalization"] is not None:
        lines.append(f"Normalized already: {_normalized(told['normalization'])}")
    if network.data_changed:
        lines.append(
            f"Note: {network.data} is not the file that this was trained on; what is said here of "
            "normalization and classes is of the file that is there now"
        )
    lines.append(_compared(exported.difference))
    return "\n".join(lines)


def _normalized(told: dict[str, Any]) -> str:
    if "mean" not in told:
        return (
            "of each image, its own mean subtracted and divided by its own standard deviation, "
            "over all pixels (0 to 255) of all channels, at least 1 / sqrt(their number)"
        )
    mean, std = (", ".join(f"{v:.6g}" for v in told[key]) for key in ("mean", "std"))
    return f"(pixel / 255 - mean) / std by channel, mean {mean}, std {std}"


def _compared(difference: float | None) -> str:
    if difference is None:
        return "Not compared: ONNX Runtime is not installed (`pip install onnxruntime`)"
    return (
        f"Compared: logits differ by {difference:.1e} of the largest at most; {TOLERANCE:.0e} "
        "is allowed"
    )


def _traced(network: TrainedNetwork) -> torch.export.ExportedProgram:
    """The forward pass as a graph, for batches of any size."""
    inputs, batch = network.inputs(EXAMPLES), torch.export.Dim("batch")
    shapes = tuple({0: batch} for _ in inputs)
    try:
        program = torch.export.export(network.module, inputs, dynamic_shapes=shapes)
    except Exception as error:  # of many kinds, torch's own and the network's
        reason = str(error).strip().splitlines()
        raise PruningError(
            f"torch cannot trace the network of {network.name} "
            f"({reason[0].rstrip('.') if reason else type(error).__name__}). Export it as "
            ".safetensors, which holds its weights alone."
        ) from error
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # says where this project lies on this machine
    return program


def _compare(network: TrainedNetwork, run: Run, output: Path) -> float:
    """The largest difference of logits on noise, as a fraction of the largest logit."""
    differences = []
    for batch in COMPARED:
        inputs = network.inputs(batch)
        expected = network.logits(inputs)
        if not expected.isfinite().all():
            raise PruningError(
                f"The network of {network.name} gives logits that are not finite: its training "
                f"went wrong. {output} was not written."
            )
        with torch.inference_mode():
            found = run(inputs)
        scale = float(expected.abs().max()) or 1.0
        same = found.shape == expected.shape
        worst = float((found - expected).abs().max()) / scale if same else float("inf")
        if not worst <= TOLERANCE:  # so that NaN is refused too
            raise PruningError(
                f"What was exported of {network.name} gives other logits than the network: they "
                f"differ by {worst:.1e} of the largest, and {TOLERANCE:.0e} is allowed. {output} "
                "was not written. Try another ending."
            )
        differences.append(worst)
    return max(differences)
