package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The kinds of values that flags have. Each adds a flag that sets *p, whose present value is the default.

func (f *flagSet) text(p *string, name, arg, help string) {
	f.add(&option{name: name, arg: arg, help: help, set: func(v string) error {
		*p = v
		return nil
	}})
}

func (f *flagSet) toggle(p *bool, name, help string) {
	f.add(&option{name: name, help: help, set: func(v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return errors.New("must be true or false")
		}
		*p = b
		return nil
	}})
}

func (f *flagSet) whole(p *int, name string, low, high int, help string) {
	f.add(&option{name: name, arg: "N", help: help, set: func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("must be a whole number between %d and %d", low, high)
		}
		*p = n
		return nil
	}})
}

func (f *flagSet) oneOf(p *string, name, help string, allowed ...string) {
	f.add(&option{name: name, arg: strings.ToUpper(name[strings.LastIndex(name, "-")+1:]), help: help, set: func(v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
		}
		*p = v
		return nil
	}})
}

func (f *flagSet) duration(p *time.Duration, name string, low, high time.Duration, help string) {
	f.add(&option{name: name, arg: "TIME", help: help, set: func(v string) error {
		d, err := time.ParseDuration(v)
		if err != nil || d < low || d > high {
			return fmt.Errorf("must be a time between %s and %s, like 30s or 5m", short(low), short(high))
		}
		*p = d
		return nil
	}})
}

func (f *flagSet) bytes(p *int64, name string, low int64, help string) {
	f.add(&option{name: name, arg: "SIZE", help: help, set: func(v string) error {
		n, err := parseBytes(v)
		if err != nil {
			return err
		}
		if n < low {
			return fmt.Errorf("must be at least %s", Bytes(low))
		}
		*p = n
		return nil
	}})
}

// short is a duration without its zero parts: 1h, not 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// units are the suffixes of sizes, longest first.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// parseBytes reads 8GiB, 512MB, 1.5GiB or a plain number of bytes.
func parseBytes(v string) (int64, error) {
	number, factor := v, 1.0
	for _, u := range units {
		if head, ok := cutSuffixFold(v, u.suffix); ok {
			number, factor = strings.TrimSpace(head), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(n) || n < 0 || n*factor >= math.MaxInt64 {
		return 0, errors.New("must be a size like 8GiB, 512MB or a number of bytes")
	}
	return int64(n * factor), nil
}

func cutSuffixFold(s, suffix string) (string, bool) {
	if len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix) {
		return s[:len(s)-len(suffix)], true
	}
	return s, false
}

// Bytes writes a number of bytes for people: 1.5 GiB.
func Bytes(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes {
			return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(u.bytes), 'f', 1, 64), ".0") + " " + u.name
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
