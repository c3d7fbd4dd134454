"""Whether a processor computes in bfloat16 faster than in float32."""

from __future__ import annotations

import torch


def fast_bf16(device: torch.device) -> bool:
    """True where bfloat16 products run in hardware: AVX512-BF16 or AMX on a CPU, tensor cores on a GPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch tells it nowhere in public
    return any(probe() for name in probes if (probe := getattr(torch.cpu, name, None)))
