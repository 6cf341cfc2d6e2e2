// Package graph reads and writes ONNX models (the protobuf message ModelProto of onnx/onnx.proto3, IR version 10) in
// plain Go, without the generated code of a protobuf library.
//
// What holds:
//
//   - Reading never panics and never allocates more than a small multiple of the bytes it is given: lengths are checked
//     against what is left, nesting and counts are bounded, and whatever is damaged is an error that says where.
//   - Fields this package has no name for are skipped, so files of newer exporters can be read. They are not kept: a
//     model read and written again has lost them. Nothing in this program rewrites somebody else's file.
//   - Tensor values are bytes in little-endian order, whichever of the format's fields held them. Values that lie in
//     external files are not touched until asked for, and only inside the model's own folder.
//   - Writing streams: weights go to the external file as they are made (see [DataFile]), so a model of any size is
//     written in the memory of one piece of one tensor.
package graph
