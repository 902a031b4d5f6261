package serve

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestAModelSaysWhatItCanBeforeItIsLoaded(t *testing.T) {
	s := real(t, Options{Context: 512})
	ctx := context.Background()
	all, err := s.Models(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range all[:3] { // the last is no file
		before, err := s.Model(ctx, listed.Name)
		if err != nil || before.Loaded || listed.Loaded {
			t.Fatalf("%+v %v", before, err)
		}
		if listed.Arch != before.Arch || listed.Parameters != before.Parameters || listed.Bytes != before.Bytes || listed.Quantization != before.Quantization {
			t.Errorf("the list says %+v, the model %+v", listed, before)
		}
		if err := s.Load(ctx, listed.Name, nil); err != nil {
			t.Fatal(err)
		}
		after, err := s.Model(ctx, listed.Name)
		if err != nil || !after.Loaded || after.MemoryBytes == 0 {
			t.Fatalf("%+v %v", after, err)
		}
		// What is of the memory it takes is known of a loaded one only.
		before.Loaded, before.MemoryBytes, before.WeightBytes, before.Expires, before.Pinned = after.Loaded, after.MemoryBytes, after.WeightBytes, after.Expires, after.Pinned
		if !reflect.DeepEqual(before, after) {
			t.Errorf("before it was loaded\n%+v\nafterwards\n%+v", *before, *after)
		}
		if after.Parameters < 1e6 {
			t.Errorf("%s has %d parameters", after.Name, after.Parameters)
		}
	}
}

func TestAFileThatIsNoModelHasNoFacts(t *testing.T) {
	var r reading
	path := filepath.Join(t.TempDir(), "x.gguf")
	if r.of(path, true) != nil {
		t.Error("a file that is not there has facts")
	}
	if err := os.WriteFile(path, []byte("GGUF and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r.of(path, true) != nil {
			t.Error("a file that is no model has facts")
		}
	}
}
