"""Binary and ternary weights for a trained float layer, without training: scale times codes per output channel.

``w`` is [out, n] with n the inputs of one output (in_c / groups * kernel), ``hessian`` [n, n] the mean of x
x^T over the layer's inputs x. Each function returns quantised weights of the shape of ``w``: scale[out] *
codes, codes in {-1, +1} or {-1, 0, +1}.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LEVELS = ("binary", "ternary")


def _signs(w: Tensor) -> Tensor:
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype)


def project(w: Tensor, levels: str) -> tuple[Tensor, Tensor]:
    """Codes and scale [out, 1] of least squared error. Binary: sign(w), mean|w| (Rastegari et al. 2016). Ternary:
    the k largest magnitudes, for the best k of all.
    """
    size = w.abs()
    if levels == "binary":
        return _signs(w), size.mean(1, keepdim=True).clamp_min(1e-8)
    order = size.sort(dim=1, descending=True).values
    count = torch.arange(1, w.shape[1] + 1, dtype=w.dtype)
    # With the k largest kept, the scale is their mean and the squared error falls by k * mean^2.
    gain = order.cumsum(1) ** 2 / count
    k = gain.argmax(1, keepdim=True)
    kept = size >= order.gather(1, k)
    scale = (size * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True)
    return torch.sign(w) * kept, scale.clamp_min(1e-8)


def _error(w: Tensor, q: Tensor, hessian: Tensor) -> Tensor:
    """Squared error of each output, [out, 1]: (w - q) H (w - q)^T."""
    d = w - q
    return ((d @ hessian) * d).sum(1, keepdim=True)


def grid(w: Tensor, hessian: Tensor, levels: str) -> Tensor:
    """Grid search: 40 thresholds (ternary) and for each 40 scales, by the error of the layer's outputs."""
    base = w.abs().mean(1, keepdim=True).clamp_min(1e-8)
    best = torch.full_like(base, float("inf"))
    result = torch.zeros_like(w)
    for threshold in torch.linspace(0, 1.5, 40) if levels == "ternary" else (None,):
        codes = _signs(w) if threshold is None else torch.sign(w) * (w.abs() > threshold * base)
        fit = (
            base
            * (codes * w.abs() * codes.abs()).abs().sum(1, keepdim=True)
            / (base * codes.abs().sum(1, keepdim=True)).clamp_min(1e-8)
        )
        for factor in torch.linspace(0.3, 1.7, 40):
            candidate = codes * fit * factor
            error = _error(w, candidate, hessian)
            better = error < best
            best = torch.where(better, error, best)
            result = torch.where(better, candidate, result)
    return result


def admm(w: Tensor, hessian: Tensor, levels: str, steps: int = 60) -> Tensor:
    """Alternating directions: a float copy that fits the outputs is pulled towards its own projection; the best
    projection met is kept. Source: Leng et al., "Extremely Low Bit Neural Network: Squeeze the Last Bit Out
    with ADMM" (2018), applied to the layer's outputs.
    """
    n = w.shape[1]
    rho = float(hessian.diagonal().mean().clamp_min(1e-8))
    q = _scaled(w, w, hessian, levels)
    best, error = q, _error(w, q, hessian)
    dual = torch.zeros_like(w)
    target = w @ hessian
    for step in range(steps):
        # The penalty grows from a tenth, so that the copy first moves freely.
        weight = rho * min(1.0, 0.1 * 1.1**step)
        copy = torch.linalg.solve(
            hessian + weight * torch.eye(n, dtype=w.dtype), (target + weight * (q - dual)).T
        ).T
        q = _scaled(copy + dual, w, hessian, levels)
        dual = dual + copy - q
        now = _error(w, q, hessian)
        best = torch.where(now < error, q, best)
        error = torch.minimum(now, error)
    return best


def gptq(w: Tensor, hessian: Tensor, levels: str) -> Tensor:
    """Error compensation: inputs are quantised one after the other, and what each loses is made up by those that
    follow, by the inverse Hessian. Then the scale is fitted to the outputs. Source: Frantar et al., "GPTQ:
    Accurate Post-Training Quantization for Generative Pre-trained Transformers" (2023).
    """
    n = w.shape[1]
    damped = hessian + 0.01 * hessian.diagonal().mean().clamp_min(1e-8) * torch.eye(n, dtype=w.dtype)
    order = damped.diagonal().argsort(descending=True)  # the strongest inputs first
    upper = torch.linalg.cholesky(torch.linalg.inv(damped[order][:, order]), upper=True)
    rest = w[:, order].clone()
    codes, scale = project(rest, levels)
    threshold = scale[:, 0] / 2
    result = torch.zeros_like(rest)
    for i in range(n):
        column = rest[:, i]
        code = _signs(column)
        if levels == "ternary":
            code = code * (column.abs() > threshold)
        result[:, i] = code
        error = (column - code * scale[:, 0]) / upper[i, i]
        rest[:, i:] -= error[:, None] * upper[i, i:]
    codes = result[:, order.argsort()]
    best = codes * _fit(codes, w, hessian)
    plain = grid(w, hessian, levels)  # compensation may lose where a layer has few inputs
    return torch.where(_error(w, best, hessian) <= _error(w, plain, hessian), best, plain)


def _fit(codes: Tensor, w: Tensor, hessian: Tensor) -> Tensor:
    """The scale [out, 1] > 0 with which ``codes`` fit the outputs of ``w`` best."""
    above = ((codes @ hessian) * w).sum(1, keepdim=True)
    below = ((codes @ hessian) * codes).sum(1, keepdim=True)
    return (above / below.clamp_min(1e-12)).clamp_min(1e-8)


def _scaled(source: Tensor, w: Tensor, hessian: Tensor, levels: str) -> Tensor:
    codes, _ = project(source, levels)
    return codes * _fit(codes, w, hessian)


SOLVERS: dict[str, Callable[[Tensor, Tensor, str], Tensor]] = {"grid": grid, "admm": admm, "gptq": gptq}
