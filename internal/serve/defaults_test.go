package serve

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/sample"
	"github.com/galerne-ai/galerne/internal/weights"
)

func TestDefaultsAreTheFirstWord(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	config := func(text string) *weights.File { return &weights.File{GenerationConfig: []byte(text)} }
	for _, c := range []struct {
		name      string
		file      *weights.File
		catalogue chat.Sampling
		from      string
		want      sample.Options
	}{
		{"nobody", config(""), chat.Sampling{}, "Galerne", sample.Options{Temperature: 0.7, TopP: 0.95}},
		{"only ends", config(`{"eos_token_id": 2}`), chat.Sampling{}, "Galerne", sample.Options{Temperature: 0.7, TopP: 0.95}},
		{"the makers", config(`{"temperature": 0.6, "top_k": 20, "repetition_penalty": 1.1}`), chat.Sampling{}, "generation_config.json",
			sample.Options{Temperature: 0.6, TopK: 20, Repetition: 1.1}},
		{"only top_k", config(`{"top_k": 20}`), chat.Sampling{}, "generation_config.json", sample.Options{Temperature: 1, TopK: 20}},
		{"the catalogue", config(`{"temperature": 0.6}`), chat.Sampling{Temperature: number(0.2), TopP: number(0.9)}, "catalogue",
			sample.Options{Temperature: 0.2, TopP: 0.9}},
		{"what cannot be", config(`{"temperature": -1}`), chat.Sampling{}, "Galerne", sample.Options{Temperature: 0.7, TopP: 0.95}},
		{"no JSON", config(`{"temperature": "hot"}`), chat.Sampling{}, "Galerne", sample.Options{Temperature: 0.7, TopP: 0.95}},
	} {
		d := DefaultsOf(c.file, c.catalogue)
		got := d.options(chat.Sampling{})
		got.Seed = 0
		if d.From != c.from || !same(got, c.want) {
			t.Errorf("%s: %s says %+v, want %s, %+v", c.name, d.From, got, c.from, c.want)
		}
	}
}

// TestDefaultsOfAGGUFFile: what llama.cpp's converter writes is heard behind generation_config.json.
func TestDefaultsOfAGGUFFile(t *testing.T) {
	header := binary.LittleEndian.AppendUint64([]byte("GGUF\x03\x00\x00\x00"), 0) // no tensors
	var keys []byte
	count := uint64(0)
	add := func(key string, kind, bits uint32) {
		count++
		keys = append(binary.LittleEndian.AppendUint64(keys, uint64(len(key))), key...)
		keys = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(keys, kind), bits)
	}
	const isUint32, isFloat32 = 4, 6
	for key, v := range map[string]float32{"temp": 0.5, "top_p": 0.75, "min_p": 0.25, "penalty_repeat": 1.5} {
		add("general.sampling."+key, isFloat32, math.Float32bits(v))
	}
	add("general.sampling.top_k", isUint32, 30)
	path := filepath.Join(t.TempDir(), "x.gguf")
	if err := os.WriteFile(path, append(binary.LittleEndian.AppendUint64(header, count), keys...), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := DefaultsOf(f, chat.Sampling{})
	if got, want := d.options(chat.Sampling{}), (sample.Options{Temperature: 0.5, TopK: 30, TopP: 0.75, MinP: 0.25, Repetition: 1.5}); d.From != "GGUF" || !same(got, want) {
		t.Errorf("%s says %+v, want %+v", d.From, got, want)
	}
	f.GenerationConfig = []byte(`{"temperature": 0.6}`)
	if d := DefaultsOf(f, chat.Sampling{}); d.From != "generation_config.json" {
		t.Errorf("%s has the first word", d.From)
	}
}

// same compares what these tests set.
func same(a, b sample.Options) bool {
	return a.Temperature == b.Temperature && a.TopK == b.TopK && a.TopP == b.TopP && a.MinP == b.MinP && a.TypicalP == b.TypicalP && a.Repetition == b.Repetition
}

func TestWhoSetsTheTemperatureTakesNoDefaults(t *testing.T) {
	zero, half := 0.0, 0.5
	d := DefaultsOf(&weights.File{GenerationConfig: []byte(`{"temperature": 0.6, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.1}`)}, chat.Sampling{})
	for _, c := range []struct {
		request chat.Sampling
		want    sample.Options
	}{
		{chat.Sampling{Temperature: &zero}, sample.Options{}},
		{chat.Sampling{Temperature: &half, TopP: &half}, sample.Options{Temperature: 0.5, TopP: 0.5}},
		{chat.Sampling{TopP: &half}, sample.Options{Temperature: 0.6, TopK: 20, TopP: 0.5, Repetition: 1.1}},
	} {
		if got := d.options(c.request); !same(got, c.want) {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}
