package main

import (
	"fmt"

	"ortserve/models"
	"ortserve/onnx"
)

// deviceShare is which part of a device's free memory models may take together: ONNX Runtime needs some for itself.
const deviceShare = 0.85

// chooseProvider decides what computes. Where the operator left it open and CUDA cannot be had, the processor does, and the log says why.
func (l *loader) chooseProvider() error {
	l.provider = onnx.ProviderCPU
	if err := onnx.CheckKernels(l.config.Kernels); err != nil {
		return err
	}
	switch l.config.Provider {
	case onnx.ProviderCPU:
		return nil
	case "auto", onnx.ProviderCUDA:
	default:
		if err := onnx.CheckProvider(l.config.Provider); err != nil {
			return fmt.Errorf("--provider %s: %w", l.config.Provider, err)
		}
		l.provider = l.config.Provider
		return nil
	}
	free, err := onnx.CUDAMemory(l.config.Device)
	switch {
	case err == nil:
		l.provider, l.deviceMemory = onnx.ProviderCUDA, int64(float64(free)*deviceShare)
		if l.config.MemoryLimit > 0 {
			l.deviceMemory = l.config.MemoryLimit
		}
	case l.config.Provider == onnx.ProviderCUDA:
		return fmt.Errorf("--provider cuda: %w", err)
	default:
		l.log.Info("the processor computes", "reason", oneLine(err))
	}
	return nil
}

// limit returns how many bytes all models may take together where they are computed.
func (l *loader) limit() int64 {
	if l.provider == onnx.ProviderCUDA {
		return l.deviceMemory
	}
	return l.memory
}

// session opens the graph of a model as planned. What CUDA cannot compute the processor does, unless the operator chose the provider.
func (l *loader) session(m *models.Model) (*plan, *onnx.Session, error) {
	p, s, err := l.sessionOn(m, l.provider)
	if err == nil || l.provider == onnx.ProviderCPU || l.config.Provider != "auto" {
		return p, s, err
	}
	l.log.Warn("the processor computes this model", "model", m.Name, "reason", oneLine(err))
	return l.sessionOn(m, onnx.ProviderCPU)
}

// sessionOn opens the graph of a model for a provider.
func (l *loader) sessionOn(m *models.Model, provider string) (*plan, *onnx.Session, error) {
	p, err := l.plan(m, provider)
	if err != nil {
		return nil, nil, err
	}
	if p.why != "" {
		l.log.Warn("fewer slots or a shorter window than usual", "model", m.Name, "slots", p.slots, "max_len", p.maxLen, "reason", p.why)
	}
	s, err := onnx.Open(m.Graph, p.contract, l.options(p))
	return p, s, err
}

// options are how a model's graph is opened as planned.
func (l *loader) options(p *plan) onnx.Options {
	return onnx.Options{
		Provider: p.provider, Kernels: l.config.Kernels, KV: l.config.KV, ProviderOptions: l.config.ProviderOptions, Device: l.config.Device, Profile: l.profile,
		Threads: l.threads, Spin: l.spin, Slots: p.slots, MaxLen: p.maxLen, Chunk: p.chunk, Deterministic: l.config.Deterministic,
	}
}
