package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// setProvider reads --provider: letters and digits, as ONNX Runtime's names of providers are in lower case.
func (c *Serve) setProvider(v string) error {
	name := strings.ToLower(v)
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return errors.New("must be auto, cpu, cuda or another provider's name, of letters and digits")
	}
	c.Provider = name
	return nil
}

// addProviderOption reads one --provider-option.
func (c *Serve) addProviderOption(v string) error {
	key, value, ok := strings.Cut(v, "=")
	if !ok || key == "" {
		return errors.New("must be KEY=VALUE")
	}
	if _, ok := c.ProviderOptions[key]; ok {
		return fmt.Errorf("names %s a second time", clip(key))
	}
	if c.ProviderOptions == nil {
		c.ProviderOptions = map[string]string{}
	}
	c.ProviderOptions[key] = value
	return nil
}

// checkProvider refuses settings that the provider would not see.
func (c *Serve) checkProvider() error {
	switch {
	case len(c.ProviderOptions) > 0 && slices.Contains([]string{"auto", "cpu"}, c.Provider):
		return fmt.Errorf("--provider-option is for a provider that is named: --provider is %s", c.Provider)
	case c.Device > 0 && !slices.Contains([]string{"auto", "cuda"}, c.Provider):
		return fmt.Errorf("--device is CUDA's, --provider is %s (others take --provider-option, such as device_id=%d)", c.Provider, c.Device)
	}
	if _, ok := c.ProviderOptions["device_id"]; ok && c.Provider == "cuda" {
		return errors.New("--provider-option device_id: --device says which device CUDA takes")
	}
	return nil
}
