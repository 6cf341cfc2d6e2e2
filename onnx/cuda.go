package onnx

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	ort "github.com/yalue/onnxruntime_go"

	"ortserve/onnx/graph"
)

// cuda is an NVIDIA device that computes a graph. Tensors of KV rows lie in its memory and go into runs as they are: ONNX Runtime copies
// inputs and outputs only where their memory is another than the kernels'. What is small, ids and masks and the logits, stays in the
// processor's memory.
type cuda struct {
	*device
	api    *ortAPI
	memory memoryInfo
}

// CUDAMemory returns how many bytes of memory are free on an NVIDIA device, which is opened for that. Load must have been called. The error
// is one line that says what is missing: a library with CUDA, a driver, a device.
func CUDAMemory(device int) (free int64, err error) {
	handlers := saveSignals()
	defer handlers.restore()
	c, err := openCUDA(device)
	if err != nil {
		return 0, err
	}
	free, err = c.free()
	return free, errors.Join(err, c.close())
}

// openCUDA returns device number n. It asks the library and the driver before ONNX Runtime loads the provider, whose own errors name files.
func openCUDA(n int) (*cuda, error) {
	api, err := loadAPI()
	if err != nil {
		return nil, err
	}
	all, err := api.providers()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(all, "CUDA"+providerSuffix) {
		return nil, fmt.Errorf("the ONNX Runtime %s that is loaded was built without CUDA (--onnxruntime names another; `go run ./scripts/fetch cuda` brings one)", Version())
	}
	d, err := openDevice(n)
	if err != nil {
		return nil, err
	}
	c := &cuda{device: d, api: api}
	if c.memory, err = api.memory("Cuda", n); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return c, nil
}

// append makes the provider of a session CUDA, with these options beside our own.
func (c *cuda) append(o *ort.SessionOptions, options map[string]string) error {
	environment.Lock()
	preload(filepath.Dir(environment.path))
	environment.Unlock()
	p, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return fmt.Errorf("CUDA: %w", err)
	}
	all := map[string]string{"arena_extend_strategy": "kSameAsRequested"} // the default doubles what it takes
	maps.Copy(all, options)
	all["device_id"] = strconv.Itoa(c.number)
	err = p.Update(all)
	if err == nil {
		err = o.AppendExecutionProviderCUDA(p)
	}
	if err = errors.Join(err, p.Destroy()); err != nil {
		return fmt.Errorf("ONNX Runtime cannot use CUDA on %s%s: %s", c.name, describeOptions(options), cause(err))
	}
	return nil
}

// check refuses a graph whose attention CUDA does not know: ONNX Runtime would compute it on the processor, and carry its KV memory there
// and back in each step.
func (c *cuda) check(contract *Contract) error {
	if contract.SharesBuffer && contract.KVType == graph.Float32 {
		return errors.New("the KV cache is float32, GroupQueryAttention on CUDA takes float16 and bfloat16 (import it with --dtype fp16)")
	}
	return nil
}

// tensor returns a tensor over size bytes at address in the device's memory.
func (c *cuda) tensor(address uintptr, size int, shape ort.Shape, dtype ort.TensorElementDataType) (ort.Value, error) {
	return c.api.tensor(c.memory, address, size, shape, dtype)
}

// close gives the device back. Its memory must be free, the session closed.
func (c *cuda) close() error {
	c.api.release(c.memory)
	return c.device.close()
}
