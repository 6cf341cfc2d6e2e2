package onnx

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// The providers that this program knows. Any other one of the library may be named too: it gets the nodes that it can compute, and the
// KV memory stays in the processor's.
const (
	ProviderCPU  = "cpu"
	ProviderCUDA = "cuda"
)

// providerSuffix ends ONNX Runtime's names of providers, such as OpenVINOExecutionProvider.
const providerSuffix = "ExecutionProvider"

// CheckProvider says whether the library that is loaded was built with a provider: openvino, coreml, dml, … in lower case. The error is
// one line that names those it has. Load must have been called.
func CheckProvider(name string) error {
	_, err := findProvider(name)
	return err
}

// findProvider returns ONNX Runtime's name of a provider.
func findProvider(name string) (string, error) {
	api, err := loadAPI()
	if err != nil {
		return "", err
	}
	all, err := api.providers()
	if err != nil {
		return "", err
	}
	var short []string
	for _, full := range all {
		s := strings.ToLower(strings.TrimSuffix(full, providerSuffix))
		if s == name {
			return full, nil
		}
		short = append(short, s)
	}
	slices.Sort(short)
	return "", fmt.Errorf("the ONNX Runtime %s that is loaded was built without %s, it has %s (--onnxruntime names another)", Version(), name, strings.Join(short, ", "))
}

// appendProvider gives a session a provider that is neither the processor nor CUDA, with its own options.
func appendProvider(o *ort.SessionOptions, name string, options map[string]string) error {
	full, err := findProvider(name)
	if err != nil {
		return err
	}
	if name == "tensorrt" { // has an interface of its own
		err = appendTensorRT(o, options)
	} else {
		err = o.AppendExecutionProvider(full, options)
	}
	if err != nil {
		return fmt.Errorf("ONNX Runtime cannot use %s%s: %s", name, describeOptions(options), cause(err))
	}
	return nil
}

func appendTensorRT(o *ort.SessionOptions, options map[string]string) error {
	p, err := ort.NewTensorRTProviderOptions()
	if err != nil {
		return err
	}
	if len(options) > 0 {
		err = p.Update(options)
	}
	if err == nil {
		err = o.AppendExecutionProviderTensorRT(p)
	}
	return errors.Join(err, p.Destroy())
}

// describeOptions returns " (key=value, …)" of a provider's options, "" where there are none.
func describeOptions(options map[string]string) string {
	if len(options) == 0 {
		return ""
	}
	var all []string
	for _, k := range slices.Sorted(maps.Keys(options)) {
		all = append(all, k+"="+options[k])
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// cause is the text of one of ONNX Runtime's errors without the place in its source.
func cause(err error) string {
	if _, text, ok := strings.Cut(err.Error(), "[ONNXRuntimeError] : 1 : FAIL : "); ok {
		return text
	}
	return err.Error()
}
