package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Protobuf's wire format (protobuf.dev/programming-guides/encoding): a message is a run of fields, each a varint of
// number<<3|kind and a value of that kind.
const (
	kindVarint  = 0
	kindFixed64 = 1
	kindBytes   = 2
	kindFixed32 = 5
)

var errCut = errors.New("ends inside a field")

// field is one field of a message: u for the kinds of numbers, b for kindBytes.
type field struct {
	num  uint64
	kind int
	u    uint64
	b    []byte
}

// fields calls f with every field of a message.
func fields(msg []byte, f func(field) error) error {
	for len(msg) > 0 {
		key, n := binary.Uvarint(msg)
		if n <= 0 {
			return errCut
		}
		msg = msg[n:]
		x := field{num: key >> 3, kind: int(key & 7)}
		if x.num == 0 {
			return errors.New("field number 0")
		}
		switch x.kind {
		case kindVarint:
			if x.u, n = binary.Uvarint(msg); n <= 0 {
				return errCut
			}
			msg = msg[n:]
		case kindFixed64:
			if len(msg) < 8 {
				return errCut
			}
			x.u, msg = binary.LittleEndian.Uint64(msg), msg[8:]
		case kindFixed32:
			if len(msg) < 4 {
				return errCut
			}
			x.u, msg = uint64(binary.LittleEndian.Uint32(msg)), msg[4:]
		case kindBytes:
			size, n := binary.Uvarint(msg)
			if n <= 0 || size > uint64(len(msg)-n) {
				return errCut
			}
			end := n + int(size)
			x.b, msg = msg[n:end:end], msg[end:]
		default:
			return fmt.Errorf("field %d is of kind %d, which no message has", x.num, x.kind)
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// text is the value of a string field, copied, so that it does not hold the file's bytes.
func (x field) text() (string, error) {
	if x.kind != kindBytes {
		return "", x.wrong("a string")
	}
	return string(x.b), nil
}

func (x field) message() ([]byte, error) {
	if x.kind != kindBytes {
		return nil, x.wrong("a message")
	}
	return x.b, nil
}

func (x field) integer() (int64, error) {
	if x.kind != kindVarint {
		return 0, x.wrong("an integer")
	}
	return int64(x.u), nil
}

func (x field) wrong(want string) error {
	return fmt.Errorf("field %d is of kind %d, not %s", x.num, x.kind, want)
}

// integers calls f with the values of a repeated integer field, packed or not.
func (x field) integers(f func(int64)) error {
	if x.kind == kindVarint {
		f(int64(x.u))
		return nil
	}
	if x.kind != kindBytes {
		return x.wrong("integers")
	}
	for b := x.b; len(b) > 0; {
		u, n := binary.Uvarint(b)
		if n <= 0 {
			return errCut
		}
		f(int64(u))
		b = b[n:]
	}
	return nil
}

// fixed appends the values of a repeated float (size 4) or double (size 8) field, packed or not, as little-endian bytes.
func (x field) fixed(dst []byte, size int) ([]byte, error) {
	switch {
	case x.kind == kindBytes:
		if len(x.b)%size != 0 {
			return nil, errCut
		}
		return append(dst, x.b...), nil
	case x.kind == kindFixed32 && size == 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(x.u)), nil
	case x.kind == kindFixed64 && size == 8:
		return binary.LittleEndian.AppendUint64(dst, x.u), nil
	}
	return nil, x.wrong("floating-point numbers")
}

// append writes the field as it was read.
func (x field) append(dst []byte) []byte {
	switch x.kind {
	case kindBytes:
		return appendBytes(dst, int(x.num), x.b)
	case kindFixed64:
		return binary.LittleEndian.AppendUint64(appendKey(dst, int(x.num), x.kind), x.u)
	case kindFixed32:
		return binary.LittleEndian.AppendUint32(appendKey(dst, int(x.num), x.kind), uint32(x.u))
	}
	return binary.AppendUvarint(appendKey(dst, int(x.num), x.kind), x.u)
}

func appendKey(dst []byte, num, kind int) []byte {
	return binary.AppendUvarint(dst, uint64(num)<<3|uint64(kind))
}

func appendInteger(dst []byte, num int, v int64) []byte {
	return binary.AppendUvarint(appendKey(dst, num, kindVarint), uint64(v))
}

func appendFloat(dst []byte, num int, v float32) []byte {
	return binary.LittleEndian.AppendUint32(appendKey(dst, num, kindFixed32), math.Float32bits(v))
}

func appendBytes[T []byte | string](dst []byte, num int, v T) []byte {
	dst = binary.AppendUvarint(appendKey(dst, num, kindBytes), uint64(len(v)))
	return append(dst, v...)
}

// appendText leaves an empty string out, as the format's writers do.
func appendText(dst []byte, num int, v string) []byte {
	if v == "" {
		return dst
	}
	return appendBytes(dst, num, v)
}
