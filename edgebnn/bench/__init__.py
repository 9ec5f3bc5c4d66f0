"""Speed of this machine's kernels beside other inference libraries, on layers and networks.

``layers`` names the layers, ``contender`` runs one of them in a process of its own (ours or a peer's, with the
environment that caps its instruction set), ``optional`` finds the peers that may be missing (``tflite_peers`` runs
them), ``process`` talks to these processes, ``measure`` interleaves the contenders, ``report`` renders the result.
"""
