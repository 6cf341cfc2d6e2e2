package config

func hostThreads() (int, bool, string) { return system{"/"}.threads() }

func hostMemory() (int64, string) { return system{"/"}.memory() }
