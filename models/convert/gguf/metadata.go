package gguf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// kind is the type of a metadata value.
type kind uint32

const (
	kindUint8 kind = iota
	kindInt8
	kindUint16
	kindInt16
	kindUint32
	kindInt32
	kindFloat32
	kindBool
	kindString
	kindArray
	kindUint64
	kindInt64
	kindFloat64
)

var kindNames = [...]string{"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64", "float64"}

func (k kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("type %d", uint32(k))
}

// size is the number of bytes of a value, 0 for strings and arrays.
func (k kind) size() int {
	switch k {
	case kindUint8, kindInt8, kindBool:
		return 1
	case kindUint16, kindInt16:
		return 2
	case kindUint32, kindInt32, kindFloat32:
		return 4
	case kindUint64, kindInt64, kindFloat64:
		return 8
	}
	return 0
}

const maxText = 1 << 26 // bytes of a string value: the longest known, chat templates, have some ten thousand

// value is a scalar or an array. Numbers stay as bytes until asked for, so that an array takes no more than in the file.
type value struct {
	kind  kind // of the elements, where it is an array
	array bool
	raw   []byte
	texts []string
}

func (v value) String() string {
	if v.array {
		return "array of " + v.kind.String()
	}
	return v.kind.String()
}

// Metadata is the file's keys and values. The getters return missing where there is no such key; a key of another type
// is remembered for Err, so that many can be read before errors are looked at.
type Metadata struct {
	values map[string]value
	errs   []error
}

// Err returns what was wrong with the keys read so far.
func (m *Metadata) Err() error { return errors.Join(m.errs...) }

// Keys returns all keys in order.
func (m *Metadata) Keys() []string { return slices.Sorted(maps.Keys(m.values)) }

// Has says whether there is such a key.
func (m *Metadata) Has(key string) bool {
	_, ok := m.values[key]
	return ok
}

func readMetadata(s *scanner, count uint64) (*Metadata, error) {
	const least = 8 + 4 + 1 // bytes of a pair
	if count > uint64(s.left)/least {
		return nil, fmt.Errorf("damaged: %d metadata values in the %d bytes that are left", count, s.left)
	}
	m := &Metadata{values: map[string]value{}}
	for i := range count {
		key := s.text(maxKey)
		v := readValue(s, kind(s.u32()))
		if s.err != nil {
			if key == "" {
				return nil, s.fail(fmt.Sprintf("metadata value %d of %d", i, count))
			}
			return nil, s.fail(fmt.Sprintf("metadata value %q", key))
		}
		if m.Has(key) {
			return nil, fmt.Errorf("damaged: two metadata values are called %q", key)
		}
		m.values[key] = v
	}
	return m, nil
}

func readValue(s *scanner, k kind) value {
	v := value{kind: k}
	n := uint64(1)
	if k == kindArray {
		v.array, v.kind = true, kind(s.u32())
		n = s.u64()
	}
	size := uint64(v.kind.size())
	switch {
	case s.err != nil:
	case size > 0:
		if n > uint64(s.left)/size {
			s.err = io.ErrUnexpectedEOF
			return v
		}
		v.raw = s.bytes(n * size)
	case v.kind == kindString:
		if n > uint64(s.left)/8 { // each has a length of 8 bytes
			s.err = io.ErrUnexpectedEOF
			return v
		}
		v.texts = make([]string, n)
		for i := range v.texts {
			v.texts[i] = s.text(maxText)
			if s.err != nil {
				break
			}
		}
	default:
		s.err = fmt.Errorf("damaged: values of %v are not known", v)
	}
	return v
}

// get returns the value of key, if it is a scalar or an array as asked and ok accepts the type of its elements.
func (m *Metadata) get(key, want string, array bool, ok func(kind) bool) (value, bool) {
	v, there := m.values[key]
	if !there {
		return v, false
	}
	if v.array != array || !ok(v.kind) {
		m.errs = append(m.errs, fmt.Errorf("%s is a value of %v, not %s", key, v, want))
		return v, false
	}
	return v, true
}

func isText(k kind) bool { return k == kindString }
func isBool(k kind) bool { return k == kindBool }
func isInt(k kind) bool  { return k.size() > 0 && !isFloat(k) && !isBool(k) }

func isFloat(k kind) bool { return k == kindFloat32 || k == kindFloat64 }

// Text returns a string.
func (m *Metadata) Text(key, missing string) string {
	v, ok := m.get(key, "a string", false, isText)
	if !ok {
		return missing
	}
	return v.texts[0]
}

// Bool returns a truth value.
func (m *Metadata) Bool(key string, missing bool) bool {
	v, ok := m.get(key, "a bool", false, isBool)
	if !ok {
		return missing
	}
	return v.raw[0] != 0
}

// Int returns an integer of any size.
func (m *Metadata) Int(key string, missing int64) int64 {
	v, ok := m.get(key, "an integer", false, isInt)
	if !ok {
		return missing
	}
	return v.integer(0)
}

// Float returns a floating-point number.
func (m *Metadata) Float(key string, missing float64) float64 {
	v, ok := m.get(key, "a floating-point number", false, isFloat)
	if !ok {
		return missing
	}
	return v.number(0)
}

// Texts returns an array of strings.
func (m *Metadata) Texts(key string) []string {
	v, _ := m.get(key, "strings", true, isText)
	return v.texts
}

// Ints returns an array of integers.
func (m *Metadata) Ints(key string) []int64 {
	v, ok := m.get(key, "integers", true, isInt)
	if !ok {
		return nil
	}
	out := make([]int64, len(v.raw)/v.kind.size())
	for i := range out {
		out[i] = v.integer(i)
	}
	return out
}

// Floats returns an array of floating-point numbers.
func (m *Metadata) Floats(key string) []float64 {
	v, ok := m.get(key, "floating-point numbers", true, isFloat)
	if !ok {
		return nil
	}
	out := make([]float64, len(v.raw)/v.kind.size())
	for i := range out {
		out[i] = v.number(i)
	}
	return out
}

// number is the floating-point value at a position.
func (v value) number(i int) float64 {
	b := v.raw[i*v.kind.size():]
	if v.kind == kindFloat32 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// integer is the value at a position. A uint64 above the largest int64 becomes that.
func (v value) integer(i int) int64 {
	b := v.raw[i*v.kind.size():]
	switch v.kind {
	case kindUint8:
		return int64(b[0])
	case kindInt8:
		return int64(int8(b[0]))
	case kindUint16:
		return int64(binary.LittleEndian.Uint16(b))
	case kindInt16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case kindUint32:
		return int64(binary.LittleEndian.Uint32(b))
	case kindInt32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case kindUint64:
		return int64(min(binary.LittleEndian.Uint64(b), math.MaxInt64))
	}
	return int64(binary.LittleEndian.Uint64(b))
}
