package test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
	const question = `{"model":"whole","prompt":"Hi","n_predict":24,"temperature":0}`
	want := decode[struct{ Content string }](t, post(t, s.URL+"/completion", question)).Content
	asked, stop := 0, make(chan struct{})
	wrong := make(chan string, 1)
	go func() {
		defer close(wrong)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked++
			resp, err := http.Post(s.URL+"/completion", "application/json", strings.NewReader(question)) //nolint:noctx // ends with the server
			if err != nil {
				wrong <- err.Error()
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			var got struct{ Content string }
			if err == nil {
				err = json.Unmarshal(body, &got)
			}
			if err != nil || got.Content != want {
				wrong <- fmt.Sprintf("%d %s, %v", resp.StatusCode, body, err)
				return
			}
		}
	}()
	ended := sync.OnceFunc(func() {
		close(stop)
		if said, failed := <-wrong; failed {
			t.Errorf("the whole model says %s, want %q", said, want)
		}
	})
	defer ended()
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
	ended()
	t.Logf("%d models refused, %d answered; the whole one answered %d times beside them", refused, answered, asked)
}
