package zoo

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/kernel"
	"github.com/galerne-ai/galerne/internal/model"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"github.com/galerne-ai/galerne/internal/weights"
)

// classifiers are the checkpoints with a head (testdata/make_tiny.py).
var classifiers = []string{"bert-classifier", "bert-ranker", "roberta-classifier", "xlm-roberta-ranker"}

// classified is one text or pair of texts.json: what tokenizers and transformers make of it.
type classified struct {
	IDs, Kinds []int32
	Logits     []float32
}

func readClassified(t *testing.T, name string) []classified {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata/tiny", name, "texts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []classified
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// logits classifies all texts in one call.
func logits(net *Network, pool *kernel.Pool, list []classified) []float32 {
	texts := make([]model.Text, len(list))
	for i, c := range list {
		texts[i] = model.Text{Tokens: c.IDs, Kinds: c.Kinds}
	}
	out := make([]float32, len(list)*len(net.Config.Labels))
	net.Classifier.Classify(pool, texts, out)
	return out
}

// checkClassifier compares with transformers, and the bits of each text alone on one thread.
func checkClassifier(t *testing.T, net *Network, list []classified, one, two *kernel.Pool) {
	t.Helper()
	if net.Classifier == nil || net.Encoder != nil || net.Model != nil {
		t.Fatalf("opened as %+v", net)
	}
	got := logits(net, two, list)
	n := len(net.Config.Labels)
	for i, c := range list {
		if e := nmseOf(got[i*n:(i+1)*n], c.Logits); !(e <= maxNMSE) {
			t.Errorf("text %d: %v, transformers says %v: NMSE %g, at most %g", i, got[i*n:(i+1)*n], c.Logits, e, maxNMSE)
		}
		sameBits(t, "alone, one thread", [][]float32{logits(net, one, list[i:i+1])}, [][]float32{got[i*n : (i+1)*n]})
	}
}

func TestClassifiersComputeWhatTransformersDoes(t *testing.T) {
	one, two := pools(t)
	for _, name := range classifiers {
		t.Run(name, func(t *testing.T) {
			list := readClassified(t, name)
			net := openTiny(t, readFolder(name), two)
			checkClassifier(t, net, list, one, two)
			if want := map[bool]string{true: "LABEL_0", false: "contradiction"}[name != "bert-classifier"]; net.Config.Labels[0] != want || net.Config.Context != 64 {
				t.Errorf("labels %q, context %d", net.Config.Labels, net.Config.Context)
			}
			if strings.HasPrefix(name, "xlm") {
				return
			}
			// The segments matter, to BERT.
			plain := append([]classified(nil), list...)
			for i := range plain {
				plain[i].Kinds = nil
			}
			if e := nmseOf(logits(net, two, plain), logits(net, two, list)); (e > 100*maxNMSE) != strings.HasPrefix(name, "bert") {
				t.Errorf("without segments: NMSE %g", e)
			}
		})
	}
}

func readFolder(name string) string { return filepath.Join("testdata/tiny", name) }

// TestClassifiersComputeTheSameFromGGUF converts RoBERTa's kind as llama.cpp does; of BERT's it leaves the
// first half of the head away, and such a file is refused.
func TestClassifiersComputeTheSameFromGGUF(t *testing.T) {
	one, two := pools(t)
	dir := t.TempDir()
	names := []string{"roberta-classifier", "xlm-roberta-ranker"}
	testdeps.RunPython(t, "internal/zoo/testdata/to_gguf.py", append([]string{dir, "bert-ranker"}, names...)...)
	for _, name := range names {
		checkClassifier(t, openTiny(t, filepath.Join(dir, name+".gguf"), two), readClassified(t, name), one, two)
	}
	f, err := weights.Open(filepath.Join(dir, "bert-ranker.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Open(f, Options{})
	if !errors.Is(err, ErrArchitecture) || !strings.Contains(err.Error(), "cls.output.weight") {
		t.Errorf("BERT's classifier without a pooler: %v", err)
	}
}
