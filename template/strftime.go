package template

import (
	"fmt"
	"strings"
	"time"
)

// strftime writes t as C's strftime does in the C locale.
func strftime(t time.Time, format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := byte(0)
		if i < len(format) && (format[i] == '-' || format[i] == '_' || format[i] == '0') { // of glibc
			pad = format[i]
			i++
		}
		if i == len(format) {
			return "", typeErrorf("strftime_now: the format %q ends in %%", clip(format))
		}
		s, err := strftimePart(t, format[i])
		if err != nil {
			return "", err
		}
		switch pad {
		case '-':
			s = trimZeros(s)
		case '_':
			n := trimZeros(s)
			s = strings.Repeat(" ", len(s)-len(n)) + n
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

func trimZeros(s string) string {
	if n := strings.TrimLeft(s, "0 "); n != "" {
		return n
	}
	return s[len(s)-1:]
}

func strftimePart(t time.Time, c byte) (string, error) {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'h': "Jan", 'B': "January", 'd': "02", 'm': "01", 'y': "06", 'Y': "2006",
		'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'z': "-0700", 'Z': "MST", 'e': "_2", 'j': "002",
		'D': "01/02/06", 'x': "01/02/06", 'F': "2006-01-02", 'T': "15:04:05", 'X': "15:04:05", 'R': "15:04",
		'c': "Mon Jan _2 15:04:05 2006", 'r': "03:04:05 PM",
	}
	if layout, ok := layouts[c]; ok {
		return t.Format(layout), nil
	}
	switch c {
	case '%':
		return "%", nil
	case 'n':
		return "\n", nil
	case 't':
		return "\t", nil
	case 'f':
		return fmt.Sprintf("%06d", t.Nanosecond()/1000), nil
	case 's':
		return fmt.Sprint(t.Unix()), nil
	case 'w':
		return fmt.Sprint(int(t.Weekday())), nil
	case 'u':
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1), nil
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100), nil
	case 'U':
		return fmt.Sprintf("%02d", (t.YearDay()+6-int(t.Weekday()))/7), nil
	case 'W':
		return fmt.Sprintf("%02d", (t.YearDay()+6-(int(t.Weekday())+6)%7)/7), nil
	case 'G':
		year, _ := t.ISOWeek()
		return fmt.Sprint(year), nil
	case 'V':
		_, week := t.ISOWeek()
		return fmt.Sprintf("%02d", week), nil
	}
	return "", typeErrorf("strftime_now: %%%c is not supported", c)
}
