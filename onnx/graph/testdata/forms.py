"""Writes forms.onnx with Python's onnx package (1.23.2): tensors in each of the fields that TensorProto has for values."""
import pathlib

from onnx import TensorProto as T, helper

def tensor(name, kind, dims, field, values):
    t = T(name=name, data_type=kind, dims=dims)
    getattr(t, field).extend(values)
    return t

raw = T(name="raw_data", data_type=T.UINT8, raw_data=b"\x09")
tensors = [
    tensor("float_data", T.FLOAT, [2], "float_data", [1.5, -2]),
    tensor("int32_data", T.INT32, [2], "int32_data", [1, -2]),
    tensor("int8_in_int32", T.INT8, [3], "int32_data", [1, -1, -128]),
    tensor("float16_in_int32", T.FLOAT16, [2], "int32_data", [0x3C00, 0xC000]),
    tensor("bool_in_int32", T.BOOL, [2], "int32_data", [1, 0]),
    tensor("int64_data", T.INT64, [1, 2], "int64_data", [5, -1]),
    tensor("uint64_data", T.UINT32, [1], "uint64_data", [7]),
    tensor("double_data", T.DOUBLE, [1], "double_data", [1]),
    raw,
]
node = helper.make_node("Some", ["x", "", "raw_data"], ["y"], name="n", axis=-1, floats=[1.0, 2.5])
x = helper.make_tensor_value_info("x", T.FLOAT, ["batch", 3])
s = helper.make_tensor_sequence_value_info("s", T.FLOAT, None)
y = helper.make_tensor_value_info("y", T.FLOAT, None)
model = helper.make_model(helper.make_graph([node], "forms", [x, s], [y], tensors, doc_string="skipped"), doc_string="skipped")
pathlib.Path(__file__).with_name("forms.onnx").write_bytes(model.SerializeToString())
