package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.Sum256([]byte("hashed"))
	write("# comment\n\nalice:staff:inference:a:b:c\nbob::proxy:sha256:" + hex.EncodeToString(hash[:]) + "\r\nroot:ops:admin:toor")
	keys, err := LoadKeys("", "", path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	f := func(text, want string) {
		t.Helper()
		key, ok := keys.find(text, now, newServer(Options{}).Logger)
		got := ""
		if ok {
			got = fmt.Sprint(key.Name, key.Group, key.Admin, key.Proxy)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f("a:b:c", "alicestafffalse false")
	f("hashed", "bobbobfalse true")
	f("toor", "rootopstrue true")
	f("a:b", "")
	f("", "")
	f(hex.EncodeToString(hash[:]), "")

	now = now.Add(2 * keyInterval)
	write("carol:staff:inference:new key\n")
	f("new key", "carolstafffalse false")
	f("toor", "")
	now = now.Add(2 * keyInterval)
	write("this is no key file, and longer")
	f("new key", "carolstafffalse false") // the keys stay
	now = now.Add(2 * keyInterval)
	write("")
	f("new key", "") // all are taken back

	for text, want := range map[string]string{
		"":                         "lists no key",
		"# only words":             "lists no key",
		"a:b:inference":            "line 1: must be name:group:scope:key",
		"a:b:inference:":           "line 1: must be",
		"a:b:inference:k\na:b:x:k": "line 2: the scope must be inference, proxy or admin",
		"a b:b:inference:k":        "line 1: name and group must be",
		":b:inference:k":           "line 1: name and group",
		"a:b:inference:sha256:00":  "64 hexadecimal digits",
		"a:b:admin:k\nc:d:admin:k": "line 2: the key stands in the file twice",
		strings.Repeat("#", 2<<20): "larger than 1048576 bytes",
	} {
		write(text)
		if _, err := LoadKeys("", "", path); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--api-key-file: ") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	if _, err := LoadKeys("", "", path+"x"); err == nil {
		t.Error("a file that is not there is accepted")
	}
	if keys, err := LoadKeys("", "", ""); keys != nil || err != nil {
		t.Errorf("no keys are %v, %v", keys, err)
	}
}

// timingSamples is how many keys TestKeyTiming looks up of each sort; welch's bound is the one of dudect (Reparaz, Balasch and Verbauwhede,
// "Dude, is my code constant time?", 2017).
const (
	timingSamples = 1_000_000
	welchBound    = 4.5
)

// TestKeyTiming: how long a wrong key takes does not tell how much of it is right. The statistic is shown to see a comparison that ends at the
// first difference.
func TestKeyTiming(t *testing.T) {
	const right = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	near, far := right[:len(right)-1]+"x", "x"+right[1:] // of one size, so that they lie alike in memory
	var lines strings.Builder
	for i := range 8 {
		fmt.Fprintf(&lines, "other%d:g:inference:%d%s\n", i, i, right)
	}
	keys := &Keys{}
	var err error
	if keys.file, err = parseKeys("a:g:inference:" + right + "\n" + lines.String()); err != nil {
		t.Fatal(err)
	}
	log, now := newServer(Options{}).Logger, time.Now()
	find := func(text string) { keys.find(text, now, log) }
	samples := timingSamples
	if testing.Short() {
		samples /= 20
	}
	s := welch(samples, find, near, far)
	for range 2 { // what else the machine does passes, a comparison that tells stays
		if math.Abs(s) > welchBound {
			s = welch(samples, find, near, far)
		}
	}
	if math.Abs(s) > welchBound {
		t.Errorf("a key that is nearly right against one that is not: t is %.1f", s)
	}
	naive := func(text string) {
		for range 8 {
			for i := range right {
				if text[i] != right[i] {
					break
				}
			}
		}
	}
	if s := welch(samples, naive, near, far); math.Abs(s) < welchBound {
		t.Errorf("the statistic does not see a comparison that ends at the first difference: t is %.1f", s)
	}
}

// welch calls f n times with texts drawn at random from a and b, and returns Welch's t of how long it took with each. The longest tenth
// is left out: it is the machine's doing.
func welch(n int, f func(text string), a, b string) float64 {
	texts := [2]string{a, b}
	r := rand.New(rand.NewPCG(1, 2))
	which, took := make([]uint8, n), make([]float64, n)
	for i := range which {
		which[i] = uint8(r.IntN(2))
	}
	for i, k := range which {
		text := texts[k]
		begin := time.Now()
		f(text)
		took[i] = float64(time.Since(begin))
	}
	sorted := slices.Clone(took)
	slices.Sort(sorted)
	most := sorted[n-n/10]
	var count, sum, squares [2]float64
	for i, k := range which {
		if took[i] < most {
			count[k]++
			sum[k] += took[i]
			squares[k] += took[i] * took[i]
		}
	}
	var mean, variance [2]float64
	for k := range 2 {
		mean[k] = sum[k] / count[k]
		variance[k] = (squares[k] - sum[k]*mean[k]) / (count[k] - 1)
	}
	return (mean[0] - mean[1]) / math.Sqrt(variance[0]/count[0]+variance[1]/count[1])
}

// fileWorld is a world whose keys are those lines.
func fileWorld(t *testing.T, lines string, set ...func(*world, *Options)) *world {
	t.Helper()
	keys := fileKeys(t, lines)
	return newWorld(t, "Hi", append([]func(*world, *Options){func(_ *world, o *Options) { o.Keys, o.ScopeHeader = keys, "X-User" }}, set...)...)
}

// fileKeys are those of a file with these lines.
func fileKeys(t *testing.T, lines string) *Keys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys("", "", path)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// What a prompt leaves in the cache serves its own group, user and salt alone.
func TestCacheScope(t *testing.T) {
	w := fileWorld(t, "a:g:inference:a\nb:g:proxy:b\nc:h:proxy:c")
	f := func(key, user, salt string, cached int) {
		t.Helper()
		r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"cache_salt":"`+salt+`"}`, "X-Api-Key", key, "X-User", user)
		if want := fmt.Sprintf(`"cached_tokens":%d}`, cached); r.status != http.StatusOK || !strings.Contains(r.body, want) {
			t.Errorf("%s, %q, %q: %d %s, want %s", key, user, salt, r.status, r.body, want)
		}
	}
	f("a", "", "", 0)
	f("b", "", "", 16) // the same group
	f("c", "", "", 0)  // another
	f("b", "u1", "", 0)
	f("b", "u1", "", 16)
	f("b", "u2", "", 0)
	f("b", "u2", "s", 0)
	r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", "a", "X-User", "u1")
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "may not name a user in X-User") {
		t.Errorf("a key that is not believed: %d %s", r.status, r.body)
	}
	r = w.do(http.MethodPost, "/api/chat", `{"model":"tiny:1b","stream":false,"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", "b", "X-User", "u3")
	if !strings.Contains(r.body, `"prompt_eval_cached_count":0`) {
		t.Errorf("Ollama's, the first time: %s", r.body)
	}
}

func TestQuotas(t *testing.T) {
	w := fileWorld(t, "a:g:inference:a\nb:g:inference:b", func(_ *world, o *Options) { o.KeyRequests, o.KeyTokens = 4, 60 })
	now := fixedTime
	w.now = func() time.Time { return now }
	f := func(key string, status int, want string) {
		t.Helper()
		r := w.do(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}]}`, "X-Api-Key", key)
		if r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s: %d %s, want %d %s", key, r.status, r.body, status, want)
		}
		if status == http.StatusTooManyRequests && !retry.MatchString(r.header.Get("Retry-After")) {
			t.Errorf("%s: Retry-After is %q", key, r.header.Get("Retry-After"))
		}
	}
	// A request takes 18 tokens of prompt and 3 of answer.
	f("a", 200, "Hi")
	f("a", 200, "Hi")
	f("a", 200, "Hi")
	f("a", 429, `{"error":{"message":"this key may have 60 tokens a minute (--key-tokens-per-minute)","type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}`)
	f("b", 200, "Hi") // another key of the group
	now = now.Add(10 * time.Second)
	f("a", 200, "Hi") // 3 below zero, and 10 more since
	f("a", 429, "requests a minute")
	now = now.Add(time.Hour)
	f("a", 200, "Hi")
	r := w.do(http.MethodGet, "/v1/models", "", "X-Api-Key", "a")
	if r.status != http.StatusOK {
		t.Errorf("a list counts for nothing, but %d", r.status)
	}
}
