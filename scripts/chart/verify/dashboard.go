package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// dashboard writes every query of the dashboard as a rule, with Grafana's variables replaced, and holds panels to be told apart.
func dashboard(h house, to string) error {
	const name = chart + "files/dashboard.json"
	text, err := h.read(name)
	if err != nil {
		return err
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ids := make(map[int]bool)
	rules := []map[string]string{}
	for _, panel := range board.Panels {
		if ids[panel.ID] || panel.ID == 0 {
			return fmt.Errorf("%s: panel %q has no id of its own", name, panel.Title)
		}
		ids[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			return fmt.Errorf("%s: panel %q asks for nothing", name, panel.Title)
		}
		for i, target := range panel.Targets {
			query := strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$instance", ".*").Replace(target.Expr)
			rules = append(rules, map[string]string{"record": fmt.Sprintf("panel%d:%d", panel.ID, i), "expr": query})
		}
	}
	if to == "" {
		return nil
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		return err
	}
	return os.WriteFile(to, file, 0o644)
}
