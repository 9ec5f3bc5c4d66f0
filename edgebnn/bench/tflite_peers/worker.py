"""One peer in a process of its own: as edgebnn/bench/contender.py, it reads a layer and then counts from standard
input, a JSON value a line, and answers each with a line: what it is, or the seconds of processor time (wall clock for
several threads) of that many runs; {"error": why} where it cannot.

Arguments: litert or larq. "hello" asks only whether the peer can be loaded.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[], object]


class LiteRT:
    """LiteRT's interpreter, whose XNNPACK delegate takes INT8 layers by default."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter
        self.versions = {"LiteRT": metadata.version("ai-edge-litert")}

    def load(self, layer: dict[str, Any], threads: int) -> Run:
        """The layer's run, its weights packed. ValueError where XNNPACK does not take it."""
        from .model import int8_layer

        interpreter = self._interpreter(model_content=int8_layer(layer), num_threads=threads)
        interpreter.allocate_tensors()
        delegated = any("DELEGATE" in op["op_name"].upper() for op in interpreter._get_ops_details())
        if not delegated:
            raise ValueError("XNNPACK did not take the layer")
        about = interpreter.get_input_details()[0]
        x = np.random.default_rng(2).integers(-128, 128, about["shape"]).astype(np.int8)
        interpreter.set_tensor(about["index"], x)
        return interpreter.invoke


class Larq:
    """Larq Compute Engine's interpreter, loaded without the package's converter, which would need TensorFlow."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("larq_compute_engine")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("No module named 'larq_compute_engine'")
        folder = Path(next(iter(spec.submodule_search_locations))) / "tflite" / "python"
        name = "interpreter_wrapper_lite"
        files = sorted(folder.glob(f"{name}*.so")) + sorted(folder.glob(f"{name}*.pyd"))
        found = importlib.util.spec_from_file_location(name, str(files[0])) if files else None
        if found is None or found.loader is None:
            raise ImportError(f"larq_compute_engine has no {name}")
        self._module = importlib.util.module_from_spec(found)
        found.loader.exec_module(self._module)
        self.versions = {"Larq Compute Engine": metadata.version("larq-compute-engine")}

    def load(self, layer: dict[str, Any], threads: int) -> Run:
        """The layer's run with the indirect kernel, which is the fastest the package has on x86."""
        from .model import larq_layer

        if layer["weights"] != "binary" or layer["activations"] != "b1":
            raise ValueError("binary layers only")
        # model, threads, reference kernel, indirect kernel, XNNPACK
        interpreter = self._module.LiteInterpreter(larq_layer(layer), threads, False, True, False)
        rng = np.random.default_rng(2)
        x = [rng.integers(-(1 << 31), 1 << 31, shape).astype(np.int32) for shape in interpreter.input_shapes]
        return lambda: interpreter.predict(x)


PEERS: dict[str, Callable[[], Any]] = {"litert": LiteRT, "larq": Larq}


def main() -> None:
    """Serves one parent over standard input and output."""
    # The libraries' own messages must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer: Any = None
    run: Run = lambda: None  # noqa: E731
    clock = time.process_time
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if isinstance(request, int):
                start = clock()
                for _ in range(request):
                    run()
                answer: Any = clock() - start
            else:
                peer = peer or PEERS[sys.argv[1]]()
                answer = {"versions": peer.versions, "isa": "any"}  # neither library has a switch to cap it
                if "layer" in request:
                    threads = request.get("threads", 1)
                    clock = time.process_time if threads == 1 else time.perf_counter
                    run = peer.load(request["layer"], threads)
                    run()
        except Exception as error:  # the parent reports it: a peer that cannot run a layer is named so
            answer = {"error": (str(error) or type(error).__name__).splitlines()[0]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
