// Command admission says of the pods in rendered manifests what the Pod Security Standard "restricted" of Kubernetes would say, one
// line for each kind of pod.
//
//	admission FILE...
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// workload is what Deployments and DaemonSets have in common.
type workload struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Template corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(files []string) error {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for manifest := range strings.SplitSeq(string(text), "\n---\n") {
			var w workload
			if err := yaml.Unmarshal([]byte(manifest), &w); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if w.Kind != "Deployment" && w.Kind != "DaemonSet" {
				continue
			}
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &w.Spec.Template.ObjectMeta, &w.Spec.Template.Spec))
			verdict := "restricted"
			if !result.Allowed {
				verdict = "not restricted: " + result.ForbiddenDetail()
			}
			fmt.Printf("%s %s %s: %s\n", strings.TrimSuffix(filepath.Base(file), ".yaml"), w.Kind, w.Name, verdict)
		}
	}
	return nil
}
