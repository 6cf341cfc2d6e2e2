package docs

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ortserve/internal/config"
	"ortserve/internal/testenv"
)

// manifest is what is looked at of a resource.
type manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       json.RawMessage
}

func (m manifest) spec(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(m.Spec, v); err != nil {
		t.Fatalf("%s: %v", m.Kind, err)
	}
}

// kustomize builds a folder of deploy/kubernetes and returns the resources, as they are and read.
func kustomize(t *testing.T, folder string) (text []byte, all map[string]manifest) {
	t.Helper()
	var stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/kustomize/go.mod", "kustomize", "build", filepath.Join("deploy", "kubernetes", folder))
	c.Dir, c.Stderr = root(t), &stderr
	text, err := c.Output()
	if err != nil {
		t.Fatalf("kustomize build: %v\n%s", err, &stderr)
	}
	c = exec.CommandContext(t.Context(), testenv.Python(t, "kubernetes"), "-c", "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)")
	c.Stdin = bytes.NewReader(text)
	asJSON, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []manifest
	if err := json.Unmarshal(asJSON, &list); err != nil {
		t.Fatal(err)
	}
	all = map[string]manifest{}
	for _, m := range list {
		if m.Metadata.Name != "ortserve" {
			t.Errorf("%s is called %q", m.Kind, m.Metadata.Name)
		}
		all[m.Kind] = m
	}
	return text, all
}

// validate compares resources with Kubernetes' own schemas, where no field may be unknown. It returns what was said.
func validate(t *testing.T, text []byte) (said string, valid bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const main = "import sys; from kubernetes_validate.__main__ import main; sys.exit(main())"
	c := exec.CommandContext(t.Context(), testenv.Python(t, "kubernetes"), "-c", main, "--strict", path)
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

// TestKubernetes: what kustomize makes of deploy/kubernetes is valid, and its parts fit each other and the program.
func TestKubernetes(t *testing.T) {
	text, all := kustomize(t, "base")
	said, valid := validate(t, text)
	if !valid || strings.Count(said, " passed for resource ") != len(all) || len(all) != 5 {
		t.Errorf("%d resources: %s", len(all), said)
	}
	for _, wrong := range [][2]string{{"periodSeconds: 2", "periodSecond: 2"}, {"minReplicas: 2", `minReplicas: "2"`}, {"maxUnavailable: 1", "maxUnavailible: 1"}} {
		if broken := bytes.Replace(text, []byte(wrong[0]), []byte(wrong[1]), 1); bytes.Equal(broken, text) {
			t.Errorf("%q is nowhere", wrong[0])
		} else if said, valid := validate(t, broken); valid || strings.Count(said, " passed for resource ") != len(all)-1 {
			t.Errorf("%q is not what alone is found wrong: %s", wrong[1], said)
		}
	}

	type selector struct{ MatchLabels map[string]string }
	var deployment struct {
		Selector selector
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				TerminationGracePeriodSeconds int
				SecurityContext               struct {
					RunAsNonRoot bool
					RunAsUser    int
				}
				Containers []struct {
					Name, Image string
					Env         []struct {
						Name, Value string
						ValueFrom   struct{ SecretKeyRef struct{ Name, Key string } }
					}
					Ports []struct {
						Name          string
						ContainerPort int
					}
					StartupProbe, ReadinessProbe, LivenessProbe struct{ HTTPGet struct{ Path, Port string } }
					SecurityContext                             struct {
						ReadOnlyRootFilesystem   bool
						AllowPrivilegeEscalation *bool
						Capabilities             struct{ Drop []string }
					}
				}
			}
		}
	}
	all["Deployment"].spec(t, &deployment)
	pod := deployment.Template.Spec
	c := pod.Containers[0]
	document, env := config.ServeDocument(), map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
		if e.Name == "ORTSERVE_API_KEY" {
			if e.ValueFrom.SecretKeyRef.Name != "ortserve" || e.ValueFrom.SecretKeyRef.Key != "api-key" || e.Value != "" {
				t.Errorf("the key is taken from %+v", e)
			}
			continue
		}
		if !strings.Contains(document, "`"+e.Name+"`") {
			t.Errorf("%s is no variable of the program", e.Name)
		}
	}
	if _, ok := env["ORTSERVE_API_KEY"]; !ok {
		t.Error("no key")
	}
	delay, err1 := time.ParseDuration(env["ORTSERVE_DRAIN_DELAY"])
	drain, err2 := time.ParseDuration(env["ORTSERVE_DRAIN"])
	if grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; err1 != nil || err2 != nil || delay+drain+5*time.Second > grace {
		t.Errorf("the drain takes %s and %s and 5s, and is killed after %s", env["ORTSERVE_DRAIN_DELAY"], env["ORTSERVE_DRAIN"], grace)
	}
	if s := c.SecurityContext; !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser != 65532 || !s.ReadOnlyRootFilesystem ||
		s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("%+v, %+v", pod.SecurityContext, s)
	}
	if got := []string{c.StartupProbe.HTTPGet.Path, c.ReadinessProbe.HTTPGet.Path, c.LivenessProbe.HTTPGet.Path}; !slices.Equal(got, []string{"/readyz", "/readyz", "/livez"}) {
		t.Errorf("probes: %v", got)
	}
	ports := map[string]int{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if ports["http"] != 9112 || !strings.HasSuffix(env["ORTSERVE_METRICS_ADDR"], ":9113") || ports["metrics"] != 9113 {
		t.Errorf("ports %v, metrics on %s", ports, env["ORTSERVE_METRICS_ADDR"])
	}

	// All select the pods.
	var disruption struct{ Selector selector }
	all["PodDisruptionBudget"].spec(t, &disruption)
	var service struct{ Selector map[string]string }
	all["Service"].spec(t, &service)
	for _, s := range []map[string]string{deployment.Selector.MatchLabels, disruption.Selector.MatchLabels, service.Selector} {
		if diff := cmp.Diff(deployment.Template.Metadata.Labels, s); diff != "" {
			t.Errorf("a selector is not the pods' labels (-want +got):\n%s", diff)
		}
	}
}

// TestKubernetesMetrics: the names that the autoscaler and the endpoint picker are given are those of a running server.
func TestKubernetesMetrics(t *testing.T) {
	_, all := kustomize(t, "inference-extension")
	var scaler struct {
		ScaleTargetRef struct{ Kind, Name string }
		Metrics        []struct {
			Pods struct{ Metric struct{ Name string } }
		}
	}
	all["HorizontalPodAutoscaler"].spec(t, &scaler)
	var names []string
	for _, m := range scaler.Metrics {
		names = append(names, m.Pods.Metric.Name)
	}
	folder := filepath.Join(root(t), "deploy", "kubernetes", "inference-extension")
	for _, m := range regexp.MustCompile(`metric=(ortserve_\w+)`).FindAllStringSubmatch(read(t, filepath.Join(folder, "kustomization.yaml")), -1) {
		names = append(names, m[1])
	}
	if len(names) != 5 || scaler.ScaleTargetRef.Kind != "Deployment" {
		t.Errorf("%v of %+v", names, scaler.ScaleTargetRef)
	}
	s := startTiny(t)
	exposed := get(t, s.URL+"/metrics")
	protocol := read(t, filepath.Join(root(t), "docs", "operations.md"))
	for _, name := range names {
		if !strings.Contains(exposed, "\n# TYPE "+name+" gauge\n"+name+"{") {
			t.Errorf("%s is no gauge of /metrics", name)
		}
		if !strings.Contains(protocol, "`"+name+"`") {
			t.Errorf("docs/operations.md does not name %s", name)
		}
	}

	// The extension's schemas cannot be had as a package: the fields are those of its API inference.networking.k8s.io/v1.
	t.Log("the InferencePool is compared with what its documentation says, not with its schema")
	var pool struct {
		Selector    struct{ MatchLabels map[string]string }
		TargetPorts []struct{ Number int }
		Picker      struct {
			Name        string
			Port        struct{ Number int }
			FailureMode string
		} `json:"endpointPickerRef"`
	}
	m := all["InferencePool"]
	d := json.NewDecoder(bytes.NewReader(m.Spec))
	d.DisallowUnknownFields()
	if err := d.Decode(&pool); err != nil {
		t.Fatal(err)
	}
	if m.APIVersion != "inference.networking.k8s.io/v1" || len(pool.TargetPorts) != 1 || pool.TargetPorts[0].Number != 9112 || pool.Picker.Name == "" ||
		pool.Picker.Port.Number == 0 || pool.Picker.FailureMode != "FailOpen" || pool.Selector.MatchLabels["app.kubernetes.io/name"] != "ortserve" {
		t.Errorf("%s %s", m.APIVersion, m.Spec)
	}
}
