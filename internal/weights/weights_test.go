package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

// TestRealFilesReadAsTheReferenceReaders compares every key and tensor with the Python packages
// gguf and safetensors.
func TestRealFilesReadAsTheReferenceReaders(t *testing.T) {
	for _, name := range []string{"smollm2-135m.gguf", "qwen2.5-coder-0.5b.gguf", "all-minilm-l6-v2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := testdeps.Dep(t, "models/"+name)
			var want struct {
				Keys    map[string]any
				Tensors []struct {
					Name, Type, SHA256 string
					Shape              []int
				}
			}
			if err := json.Unmarshal(testdeps.RunPython(t, "internal/weights/testdata/oracle.py", path), &want); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if len(want.Tensors) != len(f.Tensors()) {
				t.Fatalf("%d tensors, want %d", len(f.Tensors()), len(want.Tensors))
			}
			for _, w := range want.Tensors {
				x := f.Tensor(w.Name)
				if x == nil {
					t.Fatalf("no tensor %s", w.Name)
				}
				sum := sha256.Sum256(x.Data())
				if x.Type.String() != w.Type || fmt.Sprint(x.Shape) != fmt.Sprint(w.Shape) || hex.EncodeToString(sum[:]) != w.SHA256 {
					t.Errorf("%s is %s %v, want %s %v (or other bytes)", w.Name, x.Type, x.Shape, w.Type, w.Shape)
				}
			}
			for key, v := range want.Keys {
				got, _ := json.Marshal(f.Meta.Value(key))
				wanted, _ := json.Marshal(v)
				if !bytes.Equal(got, wanted) && !closeNumbers(f.Meta, key, v) {
					t.Errorf("key %s is %.80s, want %.80s", key, got, wanted)
				}
			}
			if len(f.Meta.Keys()) != len(want.Keys) {
				t.Errorf("%d keys, want %d", len(f.Meta.Keys()), len(want.Keys))
			}
		})
	}
}

// closeNumbers compares float32 values that Python prints as float64.
func closeNumbers(m Meta, key string, v any) bool {
	got, ok := m.Float(key)
	want, isNumber := v.(float64)
	return ok && isNumber && float32(got) == float32(want)
}

// builder writes GGUF bytes, right or wrong.
type builder struct{ bytes.Buffer }

func (b *builder) u32(v uint32) { b.Write(binary.LittleEndian.AppendUint32(nil, v)) }
func (b *builder) u64(v uint64) { b.Write(binary.LittleEndian.AppendUint64(nil, v)) }
func (b *builder) str(s string) { b.u64(uint64(len(s))); b.WriteString(s) }
func (b *builder) start(version uint32, tensors, keys uint64) {
	b.WriteString("GGUF")
	b.u32(version)
	b.u64(tensors)
	b.u64(keys)
}

func (b *builder) tensor(name string, typ uint32, offset uint64, dims ...uint64) {
	b.str(name)
	b.u32(uint32(len(dims)))
	for _, d := range dims {
		b.u64(d)
	}
	b.u32(typ)
	b.u64(offset)
}

func (b *builder) data(n int) {
	for b.Len()%32 != 0 {
		b.WriteByte(0)
	}
	for i := range n {
		b.WriteByte(byte(i))
	}
}

func TestHostileFilesGetAnErrorThatNamesTheField(t *testing.T) {
	cases := map[string]struct {
		make func(b *builder)
		want string
	}{
		"empty":        {func(b *builder) {}, "is empty: fetch it again"},
		"only magic":   {func(b *builder) { b.WriteString("GGUF") }, "GGUF header"},
		"version 9":    {func(b *builder) { b.start(9, 0, 0) }, "version 9"},
		"big endian":   {func(b *builder) { b.start(0x03000000, 0, 0) }, "big-endian"},
		"2^32 keys":    {func(b *builder) { b.start(3, 0, 1<<32); b.data(100) }, "number of key-values"},
		"2^63 tensors": {func(b *builder) { b.start(3, 1<<63, 0); b.data(100) }, "number of tensors"},
		"long key":     {func(b *builder) { b.start(3, 0, 1); b.u64(1 << 40); b.data(100) }, "a key"},
		"unknown type": {func(b *builder) { b.start(3, 0, 1); b.str("k"); b.u32(99); b.u64(0) }, "value type 99"},
		"nested array": {func(b *builder) {
			b.start(3, 0, 1)
			b.str("k")
			b.u32(9)
			b.u32(9)
			b.u32(9)
			b.u64(1)
			b.data(64)
		}, "array of arrays"},
		"array too long": {func(b *builder) {
			b.start(3, 0, 1)
			b.str("k")
			b.u32(9)
			b.u32(4)
			b.u64(1 << 60)
			b.data(64)
		}, "length of key k"},
		"same key twice": {func(b *builder) {
			b.start(3, 0, 2)
			b.str("k")
			b.u32(4)
			b.u32(1)
			b.str("k")
			b.u32(4)
			b.u32(1)
		}, "occurs twice"},
		"bad boolean":      {func(b *builder) { b.start(3, 0, 1); b.str("k"); b.u32(7); b.WriteByte(2); b.data(9) }, "boolean"},
		"five dimensions":  {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 0, 1, 1, 1, 1, 1); b.data(64) }, "5 dimensions"},
		"overflow":         {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 0, 1<<32, 1<<32, 1<<32); b.data(64) }, "multiply beyond"},
		"zero dimension":   {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 0, 0); b.data(64) }, "dimension 0"},
		"negative":         {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 0, 1<<63); b.data(64) }, "dimension 0"},
		"past the end":     {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 1<<40, 4); b.data(64) }, "cut short"},
		"offset wraps":     {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 1<<64-32, 16); b.data(64) }, "cut short"},
		"unaligned":        {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 4, 4); b.data(64) }, "alignment"},
		"unknown tensor":   {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 77, 0, 4); b.data(64) }, "type number 77"},
		"half a block":     {func(b *builder) { b.start(3, 1, 0); b.tensor("t", 2, 0, 33); b.data(64) }, "multiple of 32"},
		"overlap":          {func(b *builder) { b.start(3, 2, 0); b.tensor("a", 0, 0, 16); b.tensor("b", 0, 32, 8); b.data(64) }, "overlaps"},
		"same tensor":      {func(b *builder) { b.start(3, 2, 0); b.tensor("a", 0, 0, 8); b.tensor("a", 0, 32, 8); b.data(64) }, "occurs twice"},
		"two wrong ones":   {func(b *builder) { b.start(3, 2, 0); b.tensor("a", 77, 0, 8); b.tensor("b", 0, 1<<40, 8); b.data(64) }, "2 problems"},
		"alignment of 3":   {func(b *builder) { b.start(3, 0, 1); b.str("general.alignment"); b.u32(4); b.u32(3) }, "power of two"},
		"safetensors lies": {func(b *builder) { b.u64(1 << 50); b.WriteString("{}") }, "header's length"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var b builder
			c.make(&b)
			file := "m.gguf"
			if strings.HasPrefix(name, "safetensors") {
				file = "m.safetensors"
			}
			path := filepath.Join(t.TempDir(), file)
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := Open(path)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v\ndoes not say %q", err, c.want)
			}
		})
	}
}

// TestAFileThatIsCutShortIsOneProblem: all tensors behind the cut are missing, and one says so.
func TestAFileThatIsCutShortIsOneProblem(t *testing.T) {
	var b builder
	b.start(3, 4, 0)
	for i := range 4 {
		b.tensor(fmt.Sprintf("t%d", i), 0, uint64(i)*64, 16)
	}
	b.data(100)
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "fetch it again") {
		t.Errorf("got %v", err)
	}
}

// TestAFolderOfGGUFNamesThem: who gave the folder that downloads went to meant a file in it.
func TestAFolderOfGGUFNamesThem(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.Q4_K_M.gguf", "a.GGUF", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "a.GGUF")+" or "+filepath.Join(dir, "b.Q4_K_M.gguf")) {
		t.Errorf("got %v", err)
	}
}

func TestSafetensorsEntriesAreChecked(t *testing.T) {
	for header, want := range map[string]string{
		`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`:  "occurs twice",
		`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,80]}}`:                                                       "data_offsets",
		`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`:                                                        "takes 12 bytes",
		`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`:                                                       "shape",
		`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`:                                    "multiply beyond",
		`{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}`:                                                    "F8_E4M3",
		`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`: "overlaps",
		`{"a":3}`: "tensor \"a\"",
		`[]`:      "not a JSON object",
		`{} {}`:   "more than one",
	} {
		dir := t.TempDir()
		data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
		data = append(append(data, header...), make([]byte, 16)...)
		if err := os.WriteFile(filepath.Join(dir, singleFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\ndoes not say %q", header, err, want)
		}
	}
}

func TestAnIndexCannotPointOutsideItsFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, indexFile), []byte(`{"weight_map":{"a":"../../secret.safetensors"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestAFileThatShrinksGivesAnErrorAndNoCrash(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a mapped file cannot shrink there")
	}
	var b builder
	b.start(3, 1, 0)
	b.tensor("big", 0, 0, 1<<16)
	b.data(1 << 18)
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	err = Guard("tensor big", func() error {
		var sum byte
		for _, v := range f.Tensor("big").Data() {
			sum += v
		}
		return fmt.Errorf("read it all: %d", sum)
	})
	if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "tensor big") {
		t.Fatal(err)
	}
	if !errors.Is(f.Unchanged(), ErrChanged) {
		t.Fatal("Unchanged saw nothing")
	}
}

func TestPartsOfASplitSetOpenFromAnyPart(t *testing.T) {
	dir := t.TempDir()
	for i := range 2 {
		var b builder
		b.start(3, 1, 3)
		b.str("split.no")
		b.u32(2)
		b.Write([]byte{byte(i), 0})
		b.str("split.count")
		b.u32(2)
		b.Write([]byte{2, 0})
		b.str("split.tensors.count")
		b.u32(4)
		b.u32(2)
		b.tensor(fmt.Sprintf("t%d", i), 0, 0, 8)
		b.data(32)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", i+1)), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 2 {
		f, err := Open(filepath.Join(dir, fmt.Sprintf("m-%05d-of-00002.gguf", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors()) != 2 || f.Tensor("t0") == nil || f.Tensor("t1").Part != 1 {
			t.Fatalf("from part %d: %v", i, f.Tensors())
		}
		f.Close()
	}
	os.Remove(filepath.Join(dir, "m-00001-of-00002.gguf"))
	if _, err := Open(filepath.Join(dir, "m-00002-of-00002.gguf")); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

func FuzzGGUF(f *testing.F) {
	var b builder
	b.start(3, 1, 2)
	b.str("general.architecture")
	b.u32(8)
	b.str("llama")
	b.str("list")
	b.u32(9)
	b.u32(4)
	b.u64(2)
	b.u64(7)
	b.tensor("t", 2, 0, 32, 2)
	b.data(36)
	f.Add(b.Bytes())
	f.Fuzz(fuzzOpen("m.gguf"))
}

func FuzzSafetensors(f *testing.F) {
	header := `{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}}`
	f.Add(append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), make([]byte, 8)...))
	f.Fuzz(fuzzOpen(singleFile))
}

// fuzzOpen opens arbitrary bytes: an error or a file whose every tensor can be read, within the
// promised memory.
func fuzzOpen(name string) func(*testing.T, []byte) {
	return func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := Open(path)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > uint64(len(data))*64+64<<20 {
			t.Fatalf("took %d bytes for a file of %d", grown, len(data))
		}
		if err != nil {
			return
		}
		defer file.Close()
		for _, x := range file.Tensors() {
			if x.Bytes() != len(x.Data()) || x.Elems() < 0 {
				t.Fatal(x)
			}
		}
		for _, key := range file.Meta.Keys() {
			file.Meta.Value(key)
			file.Meta.Ints(key)
			file.Meta.Strings(key)
		}
	}
}
