"""Writes grids.bin with Python's gguf package (0.19.0): the grids of the IQ types, packed as the package has them."""
import pathlib

from gguf import quants

kinds = (quants.IQ2_XXS, quants.IQ2_XS, quants.IQ2_S, quants.IQ3_XXS, quants.IQ3_S, quants.IQ1_S)
grids = [bytes.fromhex(k.grid_hex.decode()) for k in kinds]
(pathlib.Path(__file__).parent.parent / "grids.bin").write_bytes(b"".join(grids))
