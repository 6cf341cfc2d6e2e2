package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"ortserve/internal/testenv"
	"ortserve/internal/testmodel"
)

// TestDamagedStore asks a server for models that were damaged in many ways, while a whole one answers another client all the time. Each
// damaged one is an error, whose reason with the file's name is in the log, or answers; the whole one says the same throughout.
func TestDamagedStore(t *testing.T) {
	rounds := 30 // 540 models
	if testing.Short() {
		rounds = 1
	}
	s, root := startStore(t, nil, "--max-len", "128", "--slots", "2")
	from := os.DirFS(filepath.Join(testenv.Graphs(t), "genai-llama-int4"))
	if err := os.CopyFS(filepath.Join(root, "whole@latest"), from); err != nil {
		t.Fatal(err)
	}
	whole := func() string {
		return decode[struct{ Content string }](t, post(t, s.URL+"/completion", `{"model":"whole","prompt":"Hi","n_predict":24,"temperature":0}`)).Content
	}
	want, asked, stop := whole(), 0, make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			if got := whole(); got != want {
				t.Errorf("the whole model says %q, want %q", got, want)
				return
			}
		}
	})
	refused, answered := 0, 0
	for round := range rounds {
		for i, d := range testmodel.Damages {
			name := fmt.Sprintf("damaged-%d-%d", round, i)
			dir := filepath.Join(root, name+"@latest")
			if err := os.CopyFS(dir, from); err != nil {
				t.Fatal(err)
			}
			file := d.Do(t, dir, rand.New(rand.NewPCG(uint64(round), uint64(i))))
			a := post(t, s.URL+"/completion", `{"model":"`+name+`","prompt":"Hi","n_predict":4}`)
			switch {
			case a.status == http.StatusOK && d.Sure:
				t.Errorf("round %d, %s: answered %s", round, d.What, a.body)
			case a.status == http.StatusOK:
				answered++
			default:
				refused++
				s.WaitLog(t, regexp.MustCompile(name+".*"+regexp.QuoteMeta(file)))
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	client.Wait()
	t.Logf("%d models refused, %d answered; the whole one answered %d times beside them", refused, answered, asked)
}
