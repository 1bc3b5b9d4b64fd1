"""``Machine``: device, precision and processes of a run, through accelerate.

What several processes share is a sum, so one process is the special case in which there is nothing to add.
"""

import contextlib
import resource
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn


class Machine:
    """Where and how a network is trained.

    Args:
        precision: ``"fp32"`` or ``"bf16"`` (mixed).
        device: ``"auto"`` for a CUDA device if there is one, or ``"cpu"``.
    """

    def __init__(self, *, precision: str = "fp32", device: str = "auto") -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        # Said outright: accelerate joins the processes of torchrun on a CPU only then. Apple's MPS is no choice, for
        # want of float64, which the preparation of tables needs to keep dates and time stamps apart.
        cpu = device == "cpu" or not torch.cuda.is_available()
        # accelerate keeps the choices of the first run of a program; each of ours makes its own.
        AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
        self.accelerator: Any = Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=cpu)
        self.device: torch.device = torch.device("cpu") if cpu else self.accelerator.device
        self.processes: int = self.accelerator.num_processes
        self.rank: int = self.accelerator.process_index
        self.first: bool = self.accelerator.is_main_process
        self._wrapped: dict[int, nn.Module] = {}

    def distribute(self, model: nn.Sequential) -> Callable[[Tensor], Tensor]:
        """Move a ``Sequential(preparation, network, output)`` to the device and share its network among the processes.

        Returns:
            Raw inputs to the network's outputs, ``[b, ...]`` to ``[b, k]``.
        """
        model.to(self.device)
        if self.processes > 1 and self.device.type == "cuda":
            # Batch statistics over all processes; torch has this for CUDA alone.
            model[1] = nn.SyncBatchNorm.convert_sync_batchnorm(model[1])
        network = self.accelerator.prepare(model[1])
        self._wrapped[id(model)] = network
        preparation = model[0]

        def forward(raw: Tensor) -> Tensor:
            with torch.no_grad():
                prepared = preparation(raw)
            outputs: Tensor = network(prepared)
            return outputs

        return forward

    def autocast(self) -> AbstractContextManager[Any]:
        """Context of the run's precision."""
        context: AbstractContextManager[Any] = self.accelerator.autocast()
        return context

    def alone(self, model: nn.Sequential) -> AbstractContextManager[Any]:
        """Context in which a backward pass does not exchange gradients."""
        if self.processes == 1:
            return contextlib.nullcontext()
        context: AbstractContextManager[Any] = self.accelerator.no_sync(self._wrapped[id(model)])
        return context

    def align_buffers(self, model: nn.Module) -> None:
        """Give every process the first one's buffers (running statistics)."""
        if self.processes > 1:
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def clip_norm(self, parameters: Iterable[nn.Parameter], most: float) -> Tensor:
        """Clip the gradient to a norm; gives the norm before."""
        norm: Tensor = self.accelerator.clip_grad_norm_(parameters, most)
        return norm

    def total(self, value: Tensor) -> Tensor:
        """Sum over the processes."""
        if self.processes == 1:
            return value
        summed: Tensor = self.accelerator.reduce(value, reduction="sum")
        return summed

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        if self.processes == 1:
            return [value]
        from accelerate.utils import gather_object

        values: list[Any] = gather_object([value])
        return values

    def same(self, value: Any) -> Any:
        """The first process's value, in every process."""
        if self.processes == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def wait(self) -> None:
        """Wait until every process is here."""
        self.accelerator.wait_for_everyone()

    def memory(self) -> float:
        """Peak memory so far in MiB, of the GPU if there is one, else of this process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)

    def close(self) -> None:
        """End the process group; without this, gloo's threads may abort at exit."""
        if self.processes > 1:
            self.wait()
            self.accelerator.end_training()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
