"""Writes blocks.gguf and blocks.f32 with Python's gguf package (0.19.0): a tensor of random bytes of each type, and what
gguf.quants.dequantize makes of them, float32 one tensor after the other."""
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

here = pathlib.Path(__file__).parent
random = np.random.default_rng(1)
writer = gguf.GGUFWriter(here / "blocks.gguf", "llama")
values = []
for kind in (Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    raw = random.integers(0, 256, (6, 64 // block * size), dtype=np.uint8)
    blocks = raw.reshape(-1, size)
    if block > 1:  # scales and minima of all magnitudes, subnormal ones too, but numbers
        blocks[:, 1] = blocks[:, 1] & 0x83 | random.integers(0, 16, len(blocks), dtype=np.uint8) << 2
        if kind == Q.Q4_1:
            blocks[:, 3] = blocks[:, 3] & 0x83 | random.integers(0, 16, len(blocks), dtype=np.uint8) << 2
    else:
        blocks[:, -1] &= 0xBF  # no infinities
    if kind == Q.F32:
        tensor, plain = raw.view(np.float32), raw.view(np.float32)
    elif kind == Q.F16:
        tensor, plain = raw.view(np.float16), raw.view(np.float16).astype(np.float32)
    else:
        tensor, plain = raw, gguf.quants.dequantize(raw, kind)
    assert np.isfinite(plain).all()
    writer.add_tensor(kind.name, tensor, raw_dtype=kind)
    values.append(np.asarray(plain, np.float32).ravel())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
np.concatenate(values).tofile(here / "blocks.f32")
