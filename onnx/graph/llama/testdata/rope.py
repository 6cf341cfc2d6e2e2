"""Writes rope.json: the turns of each pair by rope scaling, worked out in float64 with numpy as transformers' modeling_rope_utils.py
(4.57) does in float32: _compute_linear_scaling_rope_parameters, _compute_yarn_parameters, _compute_llama3_parameters."""
import json
import math
import pathlib

import numpy as np


def plain(base, dim):
    return base ** (np.arange(0, dim, 2) / dim)


def linear(base, dim, factor):
    return 1 / plain(base, dim) / factor


def yarn(base, dim, factor, original, fast=32, slow=1):
    def correction(turns):
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(math.floor(correction(fast)), 0), min(math.ceil(correction(slow)), dim - 1)
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
    keep = 1 - ramp
    return 1 / (factor * plain(base, dim)) * (1 - keep) + 1 / plain(base, dim) * keep


def llama3(base, dim, factor, low, high, original):
    turns = 1 / plain(base, dim)
    wave = 2 * math.pi / turns
    smooth = (original / wave - low) / (high - low)
    blended = (1 - smooth) * turns / factor + smooth * turns
    medium = (wave >= original / high) & (wave <= original / low)
    return np.where(medium, blended, np.where(wave > original / low, turns / factor, turns))


cases = [
    {"name": "Qwen2.5, yarn", "base": 1e6, "size": 128, "yarn": [4, 32768, 32, 1], "turns": yarn(1e6, 128, 4, 32768).tolist()},
    {"name": "yarn, small heads", "base": 10000, "size": 16, "yarn": [8, 512, 16, 2], "turns": yarn(10000, 16, 8, 512, 16, 2).tolist()},
    {"name": "linear", "base": 10000, "size": 64, "linear": 2.5, "turns": linear(10000, 64, 2.5).tolist()},
    {"name": "Llama 3.1", "base": 5e5, "size": 128, "llama3": [8, 1, 4, 8192], "turns": llama3(5e5, 128, 8, 1, 4, 8192).tolist()},
]
(pathlib.Path(__file__).parent / "rope.json").write_text(json.dumps(cases) + "\n")
