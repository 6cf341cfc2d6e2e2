"""Writes blocks.gguf and blocks.f32 with Python's gguf package (0.19.0): a tensor of random bytes of each type, and what
gguf.quants.dequantize makes of them, float32 one tensor after the other."""
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q

# Where a block's float16 scales and minima are.
SCALES = {
    Q.Q4_0: [0], Q.Q4_1: [0, 2], Q.Q5_0: [0], Q.Q5_1: [0, 2], Q.Q8_0: [0],
    Q.Q2_K: [80, 82], Q.Q3_K: [108], Q.Q4_K: [0, 2], Q.Q5_K: [0, 2], Q.Q6_K: [208],
    Q.IQ1_S: [0], Q.IQ1_M: [], Q.IQ2_XXS: [0], Q.IQ2_XS: [0], Q.IQ2_S: [0], Q.IQ3_XXS: [0], Q.IQ3_S: [0],
    Q.IQ4_NL: [0], Q.IQ4_XS: [0], Q.TQ1_0: [52], Q.TQ2_0: [64], Q.MXFP4: [], Q.NVFP4: [],
}
here = pathlib.Path(__file__).parent
random = np.random.default_rng(1)
writer = gguf.GGUFWriter(here / "blocks.gguf", "llama")
values = []
for kind in (Q.F32, Q.F16, Q.BF16, *SCALES):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    rows, length = (6, 64) if block <= 64 else (4, 256)
    raw = random.integers(0, 256, (rows, length // block * size), dtype=np.uint8)
    blocks = raw.reshape(-1, size)
    if block > 1:  # scales and minima of all magnitudes, subnormal ones too, but numbers
        for at in SCALES[kind]:
            blocks[:, at + 1] = blocks[:, at + 1] & 0x83 | random.integers(0, 16, len(blocks), dtype=np.uint8) << 2
        if kind == Q.IQ1_M:  # the highest quarter of the scale
            blocks[:, -1] &= 0xBF
    else:
        blocks[:, -1] &= 0xBF  # no infinities
    if kind == Q.F32:
        tensor, plain = raw.view(np.float32), raw.view(np.float32)
    elif kind == Q.F16:
        tensor, plain = raw.view(np.float16), raw.view(np.float16).astype(np.float32)
    else:
        tensor, plain = raw, gguf.quants.dequantize(raw, kind)
    assert plain.dtype == np.float32 and np.isfinite(plain).all(), kind
    writer.add_tensor(kind.name, tensor, raw_dtype=kind)
    values.append(plain.ravel())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
np.concatenate(values).tofile(here / "blocks.f32")
