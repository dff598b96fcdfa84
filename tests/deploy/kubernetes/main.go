// Reads manifests from standard input, puts them into the namespace of the command line, and holds each against the Kubernetes API's own code: decoded strictly, with
// its defaults filled in, validated as the API server does, and against the Pod Security Standard "restricted".
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	internalapps "k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	internalcore "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	"k8s.io/kubernetes/pkg/apis/core/validation"
	internalpolicy "k8s.io/kubernetes/pkg/apis/policy"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	policyvalidation "k8s.io/kubernetes/pkg/apis/policy/validation"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func validate(object runtime.Object) field.ErrorList {
	switch object := object.(type) {
	case *internalapps.Deployment:
		return appsvalidation.ValidateDeployment(object, validation.PodValidationOptions{})
	case *internalcore.Service:
		return validation.ValidateServiceCreate(object)
	case *internalcore.ConfigMap:
		return validation.ValidateConfigMap(object)
	case *internalcore.Namespace:
		return validation.ValidateNamespace(object)
	case *internalcore.PersistentVolumeClaim:
		return validation.ValidatePersistentVolumeClaim(object, validation.PersistentVolumeClaimSpecValidationOptions{})
	case *internalpolicy.PodDisruptionBudget:
		return policyvalidation.ValidatePodDisruptionBudget(object, policyvalidation.PodDisruptionBudgetValidationOptions{})
	}
	return field.ErrorList{field.InternalError(nil, fmt.Errorf("nothing here validates a %T", object))}
}

func restricted(evaluator policy.Evaluator, template core.PodTemplateSpec) []string {
	var wrong []string
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
		if !result.Allowed {
			wrong = append(wrong, "restricted: "+result.ForbiddenReason+": "+result.ForbiddenDetail)
		}
	}
	return wrong
}

func main() {
	decoder := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		panic(err)
	}
	reader := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	count, failed := 0, 0
	for {
		document, err := reader.Read()
		if err == io.EOF {
			break
		} else if err != nil {
			panic(err)
		}
		count++
		var wrong []string
		name := fmt.Sprintf("document %d", count)
		object, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			wrong = append(wrong, err.Error())
		} else {
			if named, ok := object.(meta.Object); ok {
				name = kind.Kind + " " + named.GetName()
				if kind.Kind != "Namespace" {
					named.SetNamespace(os.Args[1])
				}
			}
			legacyscheme.Scheme.Default(object)
			if deployment, ok := object.(*apps.Deployment); ok {
				wrong = append(wrong, restricted(evaluator, deployment.Spec.Template)...)
			}
			internal, err := legacyscheme.Scheme.UnsafeConvertToVersion(object, runtime.InternalGroupVersioner)
			if err != nil {
				panic(err)
			}
			for _, each := range validate(internal) {
				wrong = append(wrong, each.Error())
			}
		}
		for _, each := range wrong {
			fmt.Printf("%s: %s\n", name, each)
		}
		if len(wrong) > 0 {
			failed++
		}
	}
	fmt.Printf("%d objects, %d failed\n", count, failed)
	if failed > 0 || count == 0 {
		os.Exit(1)
	}
}
