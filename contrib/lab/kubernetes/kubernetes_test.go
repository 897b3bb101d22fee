// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// TestKubernetes applies documents to a real API server, as kubectl apply --dry-run=server
// --validate=strict does.
func TestKubernetes(t *testing.T) {
	c, err := connect(start(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("generated", c.generated)
	t.Run("documents", c.documents)
}

// generated: the server takes all that kube generate writes in the golden cases.
func (c *cluster) generated(t *testing.T) {
	for name, archive := range archives(t, "../../../testdata/kube/generate/*.txtar", 20) {
		t.Run(name, func(t *testing.T) {
			for _, f := range archive.Files {
				if f.Name != "yaml" {
					continue
				}
				if err := c.apply(f.Data); err != nil {
					t.Errorf("%v\n%s", err, f.Data)
				}
			}
		})
	}
}

// documents: the server takes those that say nothing else, and refuses the others with the words
// that they say.
func (c *cluster) documents(t *testing.T) {
	for name, archive := range archives(t, "../../../testdata/kube/documents/*.txtar", 150) {
		t.Run(name, func(t *testing.T) {
			var text []byte
			refused := ""
			for _, f := range archive.Files {
				switch filepath.Ext(f.Name) {
				case ".yaml", ".json":
					text = append(append(text, "\n---\n"...), f.Data...)
				}
				if f.Name == "kubernetes" {
					refused = strings.TrimSpace(string(f.Data))
				}
			}
			switch err := c.apply(text); {
			case err == nil && refused != "":
				t.Error("the server takes it")
			case err != nil && (refused == "" || !strings.Contains(err.Error(), refused)):
				t.Error(err)
			}
		})
	}
}

// archives reads the cases that match a pattern; there are at least so many.
func archives(t *testing.T, pattern string, least int) map[string]*txtar.Archive {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatalf("%d files match %s: %v", len(files), pattern, err)
	}
	out := map[string]*txtar.Archive{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".txtar")] = a
	}
	return out
}

// cluster is a connection to the server.
type cluster struct {
	client dynamic.Interface
	mapper meta.RESTMapper
}

func connect(config *rest.Config) (*cluster, error) {
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	groups, err := restmapper.GetAPIGroupResources(d)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{client: client, mapper: restmapper.NewDiscoveryRESTMapper(groups)}, nil
}

// apply sends every object of a stream of documents, and makes none of them. All that the server
// refuses is said.
func (c *cluster) apply(text []byte) error {
	var errs []error
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := r.Read()
		if errors.Is(err, io.EOF) {
			return errors.Join(errs...)
		}
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		data, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if string(data) == "null" {
			continue
		}
		var o unstructured.Unstructured
		if err := o.UnmarshalJSON(data); err != nil {
			errs = append(errs, err)
			continue
		}
		if !o.IsList() {
			errs = append(errs, c.create(&o))
			continue
		}
		errs = append(errs, o.EachListItem(func(item runtime.Object) error { return c.create(item.(*unstructured.Unstructured)) }))
	}
}

// create sends one object.
func (c *cluster) create(o *unstructured.Unstructured) error {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return err
	}
	resource := c.client.Resource(mapping.Resource)
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		_, err = resource.Create(context.Background(), o, options)
		return err
	}
	space := o.GetNamespace()
	if space == "" {
		space = metav1.NamespaceDefault
	}
	if err := c.namespace(space); err != nil {
		return err
	}
	_, err = resource.Namespace(space).Create(context.Background(), o, options)
	return err
}

// namespace makes one, really: objects need theirs.
func (c *cluster) namespace(name string) error {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind("Namespace")
	o.SetName(name)
	_, err := c.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Create(context.Background(), o, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the namespace %s: %w", name, err)
	}
	return nil
}
