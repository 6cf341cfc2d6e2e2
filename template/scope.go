package template

func analyze(body []stmt) []string { return nil }
