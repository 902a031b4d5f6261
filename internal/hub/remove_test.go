package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestRemovingKeepsWhatAnotherModelNeeds(t *testing.T) {
	shared, own := tinyGGUF(50, 100_000), tinyGGUF(51, 50_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": shared, "n.gguf": own})
	one := oneFile("one", shared)
	other := entry("other", []File{{Path: "renamed.gguf", SHA256: digestOf(shared)}}, Parts{"hf:org/repo/m.gguf"})
	third := entry("third", []File{{Path: "n.gguf", SHA256: digestOf(own)}}, Parts{"hf:org/repo/n.gguf"})
	h := open(t, f, one, other, third)
	for _, name := range []string{"one", "other", "third"} {
		pull(t, h, name)
	}
	ctx := context.Background()
	if r, err := h.Remove(ctx, "one", false); err != nil || r.Files != 0 || r.Bytes != 0 {
		t.Errorf("a shared file was counted: %+v %v", r, err)
	}
	got, err := h.Resolve("other")
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got.Path, shared)
	if r, err := h.Remove(ctx, "other", true); err != nil || r.Files != 1 || r.Bytes != int64(len(shared)) {
		t.Errorf("a trial counts %+v %v", r, err)
	}
	if _, err := h.Resolve("other"); err != nil {
		t.Errorf("a trial removed: %v", err)
	}
	if r, err := h.Remove(ctx, "other", false); err != nil || r.Files != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := h.Remove(ctx, "other", false); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := h.Remove(ctx, "third", false); err != nil {
		t.Error(err)
	}
	if rest := left(t, h); len(rest) > 0 {
		t.Errorf("left: %q", rest)
	}
}

func TestReplacingAModelDropsTheOldFiles(t *testing.T) {
	data, newer := tinyGGUF(52, 100_000), tinyGGUF(53, 90_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := open(t, f)
	source := "hf:org/repo/m.gguf"
	pull(t, h, source)
	f.files["m.gguf"] = newer
	if got := pull(t, h, source); !got.Already {
		t.Error("a pull without --again asked the source")
	}
	got, err := h.Pull(context.Background(), source, PullOptions{Again: true})
	if err != nil {
		t.Fatal(err)
	}
	sameFile(t, got.Path, newer)
	if h.hasBlob(digestOf(data), 0) || len(left(t, h)) != 3 {
		t.Errorf("left: %q", left(t, h))
	}
}

func TestUnfinishedFilesAreRemovedAndOthersStay(t *testing.T) {
	data := tinyGGUF(54, 300_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data, "n.gguf": data[:200_000]})
	broken := entry("broken", []File{{Path: "n.gguf", Bytes: 200_000, SHA256: digestOf(data[:200_000])}}, Parts{"hf:org/repo/n.gguf"})
	h := open(t, f, oneFile("tiny", data), broken)
	ctx := context.Background()
	if r, err := h.RemoveUnfinished(ctx, false); err != nil || r.Files != 0 {
		t.Errorf("nothing is there yet: %+v %v", r, err)
	}
	pull(t, h, "tiny")
	f.cuts = append([]int{100_000}, make([]int, 40)...)
	if _, err := h.Pull(ctx, "broken", PullOptions{}); err == nil {
		t.Fatal("the pull should have failed")
	}
	os.WriteFile(h.blob(digestOf([]byte("orphan"))), []byte("orphan"), 0o444)
	os.Mkdir(h.at(treesDir, ".tmp-1"), 0o755)
	held, err := h.openPartial(ctx, "part-held", []string{"x"}, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	held.Write([]byte("12345"))
	release, err := h.lock(ctx, "part-held", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range []bool{true, false} {
		if r, err := h.RemoveUnfinished(ctx, try); err != nil || r.Files != 2 || r.Bytes != 100_000+6 {
			t.Errorf("try %v: %+v %v", try, r, err)
		}
	}
	if sizeOf(h.at(partialDir, "part-held.part")) != 5 {
		t.Error("a partial file was taken from under a running pull")
	}
	release()
	held.close()
	if r, err := h.RemoveUnfinished(ctx, false); err != nil || r.Files != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := h.Resolve("tiny"); err != nil || len(left(t, h)) != 3 {
		t.Errorf("%q %v", left(t, h), err)
	}
}

func TestADamagedManifestIsToldAndRemovesNothing(t *testing.T) {
	data := tinyGGUF(55, 100_000)
	f := newFakeHub(t, map[string][]byte{"m.gguf": data})
	h := open(t, f, oneFile("tiny", data))
	pull(t, h, "tiny")
	bad := h.at(namesDir, "name-bad.json")
	os.WriteFile(bad, []byte(`{"format":1,"name":"bad","files":[{"path":"../x","sha256":"unverified"}]}`), 0o644)
	list, err := h.Models()
	if len(list) != 1 || !errors.Is(err, ErrStore) {
		t.Errorf("%v %v", list, err)
	}
	if _, err := h.RemoveUnfinished(context.Background(), false); !errors.Is(err, ErrStore) || !h.hasBlob(digestOf(data), 0) {
		t.Errorf("%v", err)
	}
	if _, err := h.Resolve("tiny"); err != nil {
		t.Error(err)
	}
	if _, err := h.Resolve("bad"); !errors.Is(err, ErrStore) {
		t.Errorf("%v", err)
	}
}

func TestAWholeRepositoryIsPulledByItsListing(t *testing.T) {
	data := tinyGGUF(56, 10_000)
	f := newFakeHub(t, map[string][]byte{"config.json": []byte(`{"model_type":"llama"}`), "model.safetensors": tinySafetensors(), "consolidated.safetensors": data,
		"tokenizer.json": []byte("{}"), "README.md": nil, "onnx/model.safetensors": data})
	got := pull(t, open(t, f), "hf:org/repo@v1")
	var names []string
	for _, file := range got.Files {
		names = append(names, file.Path)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"config.json", "model.safetensors", "tokenizer.json"}) || got.Revision != fakeCommit {
		t.Errorf("%q %+v", names, got.Manifest)
	}
	if st, err := os.Stat(got.Path); err != nil || !st.IsDir() {
		t.Errorf("%s %v", got.Path, err)
	}
	f.files = map[string][]byte{"a-Q4.gguf": data, "a-Q8.gguf": data}
	if _, err := open(t, f).Pull(context.Background(), "hf:org/repo", PullOptions{}); !errors.Is(err, ErrSource) {
		t.Errorf("%v", err)
	}
	f.files = map[string][]byte{"../../evil.gguf": data}
	h := open(t, f)
	if _, err := h.Pull(context.Background(), "hf:org/repo", PullOptions{}); !errors.Is(err, ErrSource) || len(left(t, h)) > 0 {
		t.Errorf("%q %v", left(t, h), err)
	}
	// A folder of this machine, copied into the store.
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type":"llama"}`), 0o644)
	os.WriteFile(filepath.Join(dir, "model.safetensors"), tinySafetensors(), 0o644)
	sameFile(t, filepath.Join(pull(t, h, "file:"+dir).Path, "model.safetensors"), tinySafetensors())
}

// Whatever names a listing has, what is chosen stays inside the model's folder and is one model.
func TestChosenFilesStayInTheirFolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paths := rapid.SliceOf(rapid.StringMatching(`(a/|b/|\.\./|)(m|model|x-00001-of-00002|x-00002-of-00002)\.(gguf|safetensors|json)`)).Draw(t, "paths")
		var all []File
		for _, p := range paths {
			all = append(all, File{Path: p, SHA256: Unverified})
		}
		folder, files, err := choose(all, "")
		if err != nil {
			return
		}
		if len(files) == 0 {
			t.Fatalf("nothing chosen of %q", paths)
		}
		for _, f := range files {
			if filepath.IsAbs(f.Path) || !slices.Contains(paths, filepath.Join(folder, f.Path)) && !slices.Contains(paths, folder+"/"+f.Path) {
				t.Fatalf("%q below %q is none of %q", f.Path, folder, paths)
			}
		}
	})
}
