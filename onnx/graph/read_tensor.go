package graph

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// readTensor brings the values to little-endian bytes from whichever field holds them: raw_data, or the typed lists
// float_data, int32_data (for all types of up to 32 bits), int64_data, double_data, uint64_data.
func readTensor(b []byte) (*Tensor, error) {
	t := &Tensor{}
	var floats, doubles []byte
	var small, large []int64
	var external []Entry
	var location int64
	err := fields(b, func(x field) (err error) {
		switch x.num {
		case 1:
			err = x.integers(func(v int64) { t.Dims = append(t.Dims, v) })
		case 2:
			var v int64
			v, err = x.integer()
			t.Type = DataType(v)
		case 3:
			err = errors.New("stored in segments, which is not supported")
		case 4:
			floats, err = x.fixed(floats, 4)
		case 5:
			err = x.integers(func(v int64) { small = append(small, v) })
		case 6:
			err = pushText(&t.Strings, x)
		case 7, 11:
			err = x.integers(func(v int64) { large = append(large, v) })
		case 8:
			t.Name, err = x.text()
		case 9:
			t.Raw, err = x.message()
		case 10:
			doubles, err = x.fixed(doubles, 8)
		case 13:
			err = push(&external, x, readEntry)
		case 14:
			location, err = x.integer()
		}
		return err
	})
	if err == nil && len(t.Dims) > 64 {
		err = fmt.Errorf("%d dimensions", len(t.Dims))
	}
	if err == nil && (location == 1 || len(external) > 0) {
		t.External, err = readExternal(external)
	} else if err == nil && t.Raw == nil {
		switch {
		case floats != nil:
			t.Raw = floats
		case doubles != nil:
			t.Raw = doubles
		case small != nil:
			t.Raw = pack(small, t.Type.Bits())
		case large != nil:
			t.Raw = pack(large, t.Type.Bits())
		}
	}
	return t, wrap(err, "tensor "+strconv.Quote(t.Name))
}

// pack writes each value in the bytes of its type. Types under a byte come in pairs or fours already, a byte a value.
func pack(values []int64, bits int) []byte {
	size := max(bits, 8) / 8
	raw := make([]byte, 0, size*len(values))
	for _, v := range values {
		switch size {
		case 1:
			raw = append(raw, byte(v))
		case 2:
			raw = binary.LittleEndian.AppendUint16(raw, uint16(v))
		case 4:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
		default:
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
	}
	return raw
}

func readExternal(entries []Entry) (*External, error) {
	x := &External{Length: -1}
	for _, e := range entries {
		var to *int64
		switch e.Key {
		case "location":
			x.Location = e.Value
			continue
		case "offset":
			to = &x.Offset
		case "length":
			to = &x.Length
		default:
			continue
		}
		n, err := strconv.ParseInt(e.Value, 10, 64)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("external %s %q is not a number of bytes", e.Key, e.Value)
		}
		*to = n
	}
	if x.Location == "" {
		return nil, errors.New("external data without a location")
	}
	return x, nil
}
