package oci

import (
	"maps"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// What a producer writes into manifest and config is found as it stands, and what breaks it hides nothing else.
func TestLabels(t *testing.T) {
	for name, c := range map[string]struct {
		config, platform string
		labels           map[string]string
	}{
		"labels":      {`{"os":"linux","architecture":"amd64","config":{"Labels":{"a":"b"}}}`, linux64, map[string]string{"a": "b"}},
		"none":        {`{"os":"linux","architecture":"amd64"}`, linux64, nil},
		"null":        {`{"os":"linux","architecture":"amd64","config":{"Labels":null}}`, linux64, nil},
		"another key": {`{"os":"linux","architecture":"amd64","config":{"labels":{"a":"b"}}}`, linux64, nil},
		"a list":      {`{"os":"linux","architecture":"amd64","config":{"Labels":["a"]}}`, linux64, nil},
		"a number":    {`{"os":"linux","architecture":"amd64","config":{"Labels":{"a":1}}}`, linux64, nil},
	} {
		l := newLayout(t)
		annotations := map[string]string{v1.AnnotationBaseImageName: "docker.io/library/debian:13"}
		l.list(l.manifest("app", object{"config": l.blob(v1.MediaTypeImageConfig, c.config), "annotations": annotations}), nil)
		f, err := l.open("")
		if err != nil {
			t.Fatal(err)
		}
		if f.Platform.String() != c.platform || !maps.Equal(f.Labels, c.labels) || !maps.Equal(f.Annotations, annotations) || len(f.Unavailable) > 0 {
			t.Errorf("%s: %s, labels %v, annotations %v, %+v", name, f.Platform, f.Labels, f.Annotations, f.Unavailable)
		}
	}
	// A platform that an index gives is not taken from the config, and a config that is not there hides only labels.
	for _, config := range []string{`{"os":"windows","architecture":"amd64","config":{"Labels":{"a":"b"}}}`, `broken`} {
		l := newLayout(t)
		child := l.manifest("app", object{"config": l.blob(v1.MediaTypeImageConfig, config)})
		child.Platform = &platform{OS: "linux", Architecture: "amd64"}
		l.list(l.index(child), nil)
		f, err := l.open("")
		if err != nil {
			t.Fatal(err)
		}
		if c := f.Children[0]; c.Platform.String() != linux64 || len(c.Unavailable) > 0 || (config == "broken") != (c.Labels["a"] == "") {
			t.Errorf("%s: %s %v %+v", config, c.Platform, c.Labels, c.Unavailable)
		}
	}
}
