"""The training loop: Adam, distillation, time shifts, checkpoints from which it resumes exactly.

The random states are part of ``Trainer.state``; the learning rate is a
function of the step. So a run that was killed and resumed gives the same weights as one that was not
(same machine, same threads).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgebnn.errors import ModelError, UsageError, did_you_mean
from edgebnn.train import devices, distributed
from edgebnn.train.extras import Features, attacked, similarity_loss
from edgebnn.train.gradient_scaling import GradientScaling
from edgebnn.train.kws import LabelledFeatures
from edgebnn.train.layers import Conv2d, Linear
from edgebnn.train.network import Network
from edgebnn.train.quantizers import ActivationQuantizer, WeightQuantizer
from edgebnn.train.schedules import SCHEDULES
from edgebnn.train.teachers import TargetCache, fingerprint, target
from edgebnn.train.watchdog import Watchdog, first_not_finite


@dataclass(frozen=True)
class TrainConfig:
    """Hyper-parameters.

    ``distill`` is the weight of the teacher's loss, 1 - ``distill`` that of the labels. ``balance`` b
    draws a clip in proportion to (clips of its class)^-b; ``adjust`` a adds a * log(class share) to the
    logits of the label loss (logit adjustment, Menon et al. 2021), so that rare classes are not drowned
    by frequent ones. ``max_shift`` and ``mask`` are in frames; ``mixup`` is the largest share of a second
    clip mixed in. ``weight_decay`` acts on all weights but the latent ones of binary layers. ``noise`` is the
    standard deviation of Gaussian noise added to the inputs, in steps of their int8 grid; ``adversarial``
    the largest change, in such steps, of inputs that are moved to where the loss is higher; ``features`` the
    weight of the teachers' feature loss (``edgebnn.train.extras``); ``gradient_scaling`` the factor of
    element-wise gradient scaling (``edgebnn.train.gradient_scaling``), 0 for none. ``schedule``: of
    ``edgebnn.train.schedules``; ``warmup`` in epochs, for those that have one; at most
    a quarter of all.
    """

    epochs: int = 60
    batch_size: int = 128
    lr: float = 5e-3
    seed: int = 0
    distill: float = 0.7
    temperature: float = 2.0
    max_shift: int = 2
    balance: float = 0.5
    adjust: float = 2.0
    mixup: float = 0.3
    mask: int = 5
    weight_decay: float = 3e-4
    label_smoothing: float = 0.0
    noise: float = 0.0
    adversarial: float = 0.0
    features: float = 0.0
    gradient_scaling: float = 0.0
    schedule: str = "one-cycle"
    warmup: int = 5

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UsageError(
                f"unknown schedule {self.schedule!r}", hint=did_you_mean(self.schedule, SCHEDULES)
            )
        ok = (
            self.epochs > 0
            and self.batch_size > 1
            and self.lr > 0
            and 0 <= self.distill <= 1
            and self.temperature > 0
            and self.max_shift >= 0
            and 0 <= self.balance <= 1
            and self.adjust >= 0
            and 0 <= self.mixup <= 0.5
            and self.mask >= 0
            and self.weight_decay >= 0
            and 0 <= self.label_smoothing < 1
            and self.noise >= 0
            and self.adversarial >= 0
            and self.features >= 0
            and self.gradient_scaling >= 0
            and self.warmup >= 0
        )
        if not ok:
            raise UsageError(f"training parameters out of range: {self}")

    @classmethod
    def plain(cls, **changes: Any) -> TrainConfig:
        """Without augmentation, class balancing, weight decay or distillation; ``changes`` as of the
        class.
        """
        off = {"distill": 0.0, "max_shift": 0, "mask": 0, "mixup": 0.0, "balance": 0.0, "adjust": 0.0}
        return cls(**{**off, "weight_decay": 0.0, **changes})


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises UsageError, naming the first difference, where a run that is to be resumed had other values; one that
    it did not know counts as 0.
    """
    for key, value in now.items():
        if before.get(key, 0.0) != value:
            raise UsageError(
                f"cannot resume: {key} was {before.get(key)!r}, is now {value!r}",
                hint="resume with the same options, or start again without --resume",
            )


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of logits [N, classes] softened by T (Hinton et al. 2015), mean over the
    batch.
    """
    student = F.log_softmax(logits / temperature, dim=1)
    target = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2


@torch.no_grad()
def predict(network: Network, features: Tensor, batch_size: int = 256) -> Tensor:
    """Class of each int8 clip [N, H, W, C], in evaluation mode; [N] int64, both on the CPU."""
    training = network.training
    network.eval()
    device = devices.of(network)
    result = [network(network.dequantize(x.to(device))).argmax(1).cpu() for x in features.split(batch_size)]
    network.train(training)
    return torch.cat(result)


class Trainer:
    """Trains ``network`` on ``data``, on the device that the network is on. It also learns from ``teachers``, in
    evaluation mode, if there are any: they see the same inputs, and the mean of their log-probabilities is the
    target, which ``teacher_cache``, a folder, keeps for other runs (``edgebnn.train.teachers``).
    """

    def __init__(
        self,
        network: Network,
        data: LabelledFeatures,
        config: TrainConfig,
        teachers: Sequence[Network] = (),
        teacher_cache: Path | None = None,
    ) -> None:
        self.network, self.config = network, config
        self.device = devices.of(network)
        self.teachers = [teacher.eval().to(self.device) for teacher in teachers]
        self.x, self.y = torch.from_numpy(data.variants), torch.from_numpy(data.label)
        self.val_x, self.val_y = torch.from_numpy(data.val), torch.from_numpy(data.val_label)
        if list(self.x.shape[2:]) != network.input.shape:
            raise UsageError(
                f"clips of shape {list(self.x.shape[2:])}, the network takes {network.input.shape}"
            )
        for teacher in self.teachers:
            classes, inputs = getattr(teacher.config, "classes", None), teacher.input.to_dict()
            if classes != len(data.names) or inputs != network.input.to_dict():
                raise UsageError(
                    f"the teacher has {classes} classes and inputs {inputs}, not those of this task",
                    hint="give a checkpoint trained on the same data",
                )
        self.features = [Features(n) for n in (network, *self.teachers)] if config.features else []
        self.cache: TargetCache | None = None
        # What teachers say of a student's own adversarial inputs is no other student's.
        cached = config.features == 0 and config.adversarial == 0
        if cached and teacher_cache is not None and self.teachers:
            self.cache = TargetCache(teacher_cache, self.teachers, config, self.x, self.y)
        groups = _parameter_groups(network, config.weight_decay)
        self.optimizer = torch.optim.Adam(groups, lr=config.lr, fused=True)
        self.scaling = GradientScaling(network, config.gradient_scaling) if config.gradient_scaling else None
        self.parallel = distributed.wrap(network)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.watchdog = Watchdog(network)
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.steps_per_epoch = len(self.y) // config.batch_size
        if self.steps_per_epoch == 0:
            raise UsageError(f"{len(self.y)} training clips are fewer than a batch of {config.batch_size}")
        counts = torch.bincount(self.y, minlength=len(data.names)).clamp_min(1).double()
        self.clip_weight = counts.pow(-config.balance)[self.y]
        prior = counts.pow(1.0 - config.balance)
        self.log_prior = (config.adjust * (prior / prior.sum()).log().float()).to(self.device)

    def state(self) -> dict[str, Any]:
        """What resuming needs beside the network's own state: plain values and tensors."""
        return {
            "config": asdict(self.config),
            "learns_from": self._learns_from(),
            "epoch": self.epoch,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
            "history": self.history,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continues from ``state``. UsageError if it was made with another configuration, ModelError if
        damaged.
        """
        try:
            check_unchanged(state["config"], asdict(self.config))
            check_unchanged(state["learns_from"], self._learns_from())
            self.optimizer.load_state_dict(state["optimizer"])
            self.generator.set_state(state["generator"])
            torch.set_rng_state(state["torch_rng"])
            self.epoch, self.history = int(state["epoch"]), list(state["history"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise ModelError(
                f"damaged training state ({error})", hint="start again without --resume"
            ) from None

    def _learns_from(self) -> dict[str, Any]:
        return {"clips": len(self.y), "teachers": [fingerprint(teacher) for teacher in self.teachers]}

    def sample(self) -> Tensor:
        """Real inputs of the first 64 validation clips, on the network's device."""
        return self.network.dequantize(self.val_x[:64].to(self.device))

    def run(
        self,
        on_step: Callable[[int, int], None] | None = None,
        on_epoch: Callable[[dict[str, float]], None] | None = None,
    ) -> dict[str, float]:
        """Trains to the last epoch. ``on_step(step, steps)`` is called after each step of an epoch,
        ``on_epoch`` with the epoch's metrics after it. Returns the last epoch's metrics and leaves the
        network in evaluation mode.
        """
        while self.epoch < self.config.epochs:
            started, cpu_started = time.perf_counter(), time.process_time()
            loss = self._epoch(on_step)
            self.epoch += 1
            distributed.agree(self.network)
            correct = (predict(self.network, self.val_x) == self.val_y).double().mean()
            metrics = {
                "epoch": self.epoch,
                "loss": loss,
                "val_accuracy": float(correct),
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - cpu_started,
            }
            self.history.append(metrics)
            if on_epoch:
                on_epoch(metrics)
        if self.scaling is not None:
            self.scaling.remove()
        self.network.eval()
        return self.history[-1]

    def _epoch(self, on_step: Callable[[int, int], None] | None) -> float:
        self.network.train()
        total = self.config.epochs * self.steps_per_epoch
        rate, warmup = SCHEDULES[self.config.schedule], self.config.warmup * self.steps_per_epoch
        losses = 0.0
        if self.cache is not None:
            size = self.config.batch_size // distributed.processes()
            self.cache.start_epoch(self.generator, self.steps_per_epoch, size)
        for i, batch in enumerate(self._batches()):
            x, y = (part.to(self.device) for part in batch)
            step = self.epoch * self.steps_per_epoch + i
            for group in self.optimizer.param_groups:
                group["lr"] = rate(step, total, self.config.lr, min(warmup, total // 4))
            set_progress(self.network, step / total)
            loss = self._loss(i, x, y)
            if not torch.isfinite(loss):
                where = first_not_finite(self.network, self.network.dequantize(x))
                raise ModelError(
                    f"layer {where or 'unknown'}: not finite in epoch {self.epoch + 1}, step {i + 1}",
                    hint="lower the learning rate",
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.watchdog.after_backward()
            self.optimizer.step()
            if step == 0:
                distributed.agree(self.network)
            clip_latent_weights(self.network)
            losses += float(loss.detach())
            if on_step:
                on_step(i + 1, self.steps_per_epoch)
        if self.cache is not None:
            self.cache.end_epoch()
        return losses / self.steps_per_epoch

    def _loss(self, step: int, x: Tensor, y: Tensor) -> Tensor:
        real = self.network.dequantize(x)
        share, partner = 0.0, y
        if self.config.mixup > 0:
            share = self.config.mixup * float(torch.rand((), generator=self.generator))
            other = torch.randperm(len(y), generator=self.generator).to(self.device)
            real, partner = (1 - share) * real + share * real[other], y[other]
        if self.config.noise > 0:
            size = self.config.noise * self.network.input.scale
            real = real + size * torch.randn(real.shape, generator=self.generator).to(self.device)
        if self.config.adversarial > 0:
            size = self.config.adversarial * self.network.input.scale
            real = attacked(lambda z: self._label_loss(self.network(z), y), real, size, self.generator)
        logits = self.parallel(real)
        loss = (1 - share) * self._label_loss(logits, y)
        if share > 0:
            loss = loss + share * self._label_loss(logits, partner)
        if self.teachers:
            answer = (
                self.cache.target(step, real).to(self.device) if self.cache else target(self.teachers, real)
            )
            soft = distillation_loss(logits, answer, self.config.temperature)
            loss = (1 - self.config.distill) * loss + self.config.distill * soft
        if self.features and self.teachers:
            mine, *theirs = (noted.value for noted in self.features)
            assert mine is not None
            for value in theirs:
                assert value is not None
                loss = loss + self.config.features / len(theirs) * similarity_loss(mine, value)
        return loss

    def _label_loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits + self.log_prior, y, label_smoothing=self.config.label_smoothing)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of int8 batches: each clip in a random variant, shifted by up to ``max_shift`` frames."""
        g, size = self.generator, self.config.batch_size
        n, variants, height = self.x.shape[:3]
        if self.config.balance > 0:
            order = torch.multinomial(self.clip_weight, n, replacement=True, generator=g)
        else:
            order = torch.randperm(n, generator=g)
        frames = torch.arange(height)
        for i in range(self.steps_per_epoch):
            clips = order[i * size : (i + 1) * size]
            x = self.x[clips, torch.randint(variants, (size,), generator=g)]
            if self.config.max_shift:
                reach = self.config.max_shift
                shift = torch.randint(-reach, reach + 1, (size, 1), generator=g)
                # The frames that a shift uncovers repeat the first or last one.
                rows = (frames + shift).clamp(0, height - 1)
                x = x[torch.arange(size)[:, None], rows]
            if self.config.mask:
                width = torch.randint(0, self.config.mask + 1, (size, 1), generator=g)
                start = torch.randint(0, height, (size, 1), generator=g)
                hide = (frames >= start) & (frames < start + width)
                x = torch.where(hide[:, :, None, None], x.new_tensor(self.network.input.zero_point), x)
            yield distributed.part(x), distributed.part(self.y[clips])


def set_progress(network: nn.Module, progress: float) -> None:
    """Tells the quantisers whose gradient is annealed how much of training is done, 0..1."""
    for module in network.modules():
        if isinstance(module, (ActivationQuantizer, WeightQuantizer)):
            module.progress = progress


@torch.no_grad()
def clip_latent_weights(network: nn.Module) -> None:
    """Clips the latent weights of every layer whose quantiser asks for it."""
    for module in network.modules():
        if isinstance(module, (Conv2d, Linear)) and module.weight_quantizer.latent_clip is not None:
            clip = module.weight_quantizer.latent_clip
            module.weight.clamp_(-clip, clip)


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for weights that are not latent binary ones; none for biases, norms and steps."""
    decayed = [
        module.weight
        for module in network.modules()
        if isinstance(module, (Conv2d, Linear)) and module.weight_quantizer.latent_clip is None
    ]
    ids = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in ids]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest}]
