package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// withHeader is a safetensors file: a header of JSON and n bytes of data.
func withHeader(header string, n int) []byte {
	data := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(data, header...), make([]byte, n)...)
}

func TestAlignmentsThatCannotBeAreRefused(t *testing.T) {
	for name, value := range map[string]func(b *builder){
		"zero":      func(b *builder) { b.u32(4); b.u32(0) },
		"odd":       func(b *builder) { b.u32(4); b.u32(3) },
		"huge":      func(b *builder) { b.u32(10); b.u64(1 << 62) },
		"wrapping":  func(b *builder) { b.u32(10); b.u64(1 << 63) },
		"negative":  func(b *builder) { b.u32(5); b.u32(1<<32 - 32) },
		"a string":  func(b *builder) { b.u32(8); b.str("32") },
		"a float":   func(b *builder) { b.u32(6); b.u32(0x42000000) },
		"a boolean": func(b *builder) { b.u32(7); b.WriteByte(1) },
		"an array":  func(b *builder) { b.u32(9); b.u32(4); b.u64(1); b.u32(32) },
	} {
		var b builder
		b.start(3, 0, 1)
		b.str("general.alignment")
		value(&b)
		b.data(64)
		_, err := Open(write(t, filepath.Join(t.TempDir(), "m.gguf"), b.Bytes()))
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "general.alignment") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A power of two that the file's data cannot start at.
	var b builder
	b.start(3, 1, 1)
	b.str("general.alignment")
	b.u32(4)
	b.u32(1 << 30)
	b.tensor("t", 0, 0, 4)
	b.data(64)
	if _, err := Open(write(t, filepath.Join(t.TempDir(), "m.gguf"), b.Bytes())); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), `tensor "t"`) {
		t.Error(err)
	}
}

func TestPathsThatAreNoModelGetAnErrorThatSaysWhatIsOne(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]error{
		dir:                                  ErrNotFound,
		filepath.Join(dir, "absent.gguf"):    ErrNotFound,
		write(t, dir+"/empty.gguf", nil):     ErrFormat,
		write(t, dir+"/a.txt", []byte("hi")): ErrFormat,
		write(t, dir+"/short.safetensors", []byte{1, 2, 3}): ErrCorrupt,
	} {
		_, err := Open(path)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

func TestACutFileIsAnErrorWhereverItIsCut(t *testing.T) {
	var b builder
	b.start(3, 2, 3)
	b.str("general.architecture")
	b.u32(8)
	b.str("llama")
	b.str("names")
	b.u32(9)
	b.u32(8)
	b.u64(2)
	b.str("a")
	b.str("bc")
	b.str("general.alignment")
	b.u32(4)
	b.u32(32)
	b.tensor("a", 0, 0, 4, 2)
	b.tensor("b", 8, 32, 32)
	b.data(32 + 34)
	whole := b.Bytes()
	dir := t.TempDir()
	for n := range len(whole) {
		if f, err := Open(write(t, filepath.Join(dir, "m.gguf"), whole[:n])); err == nil {
			f.Close()
			t.Fatalf("the first %d of %d bytes were taken for a model", n, len(whole))
		}
	}
	f, err := Open(write(t, filepath.Join(dir, "m.gguf"), whole))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	header := `{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}`
	file := withHeader(header, 8)
	for n := range len(file) {
		if f, err := Open(write(t, filepath.Join(dir, "m.safetensors"), file[:n])); err == nil {
			f.Close()
			t.Fatalf("the first %d of %d bytes were taken for safetensors", n, len(file))
		}
	}
}

func TestAFileThatShrinksBeforeItsHeaderIsReadGivesAnError(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: a mapped file cannot shrink there")
	}
	var b builder
	b.start(3, 0, 1)
	b.str("long")
	b.u32(9)
	b.u32(0)
	b.u64(1 << 16)
	b.data(1 << 16)
	path := write(t, filepath.Join(t.TempDir(), "m.gguf"), b.Bytes())
	m, err := openMapping(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := readGGUF(&part{m, int64(len(m.bytes))}, 0, m.file); !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
}

func TestAnIndexThatDoesNotFitItsShardsIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.safetensors"), withHeader(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	write(t, filepath.Join(dir, "b.safetensors"), withHeader(`{"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	for index, want := range map[string]string{
		`{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}`: "",
		`{"weight_map":{"x":"b.safetensors","y":"b.safetensors"}}`: `promises tensor "x"`,
		`{"weight_map":{"x":"a.safetensors","z":"b.safetensors"}}`: `promises tensor "z"`,
		`{"weight_map":{"x":"c.safetensors"}}`:                     "c.safetensors does not exist",
		`{"weight_map":{"x":"../a.safetensors"}}`:                  "no safetensors file of this folder",
		`{"weight_map":{"x":"/etc/passwd"}}`:                       "no safetensors file of this folder",
		`{"weight_map":{"x":7}}`:                                   `tensor "x"`,
		`{"weight_map":[]}`:                                        "not a JSON object",
		`{"weight_map":{}}`:                                        "names 0 files",
		`{}`:                                                       "names 0 files",
		`[1`:                                                       "not a JSON object",
		``:                                                         "not a JSON object",
		`{"weight_map":{"x":"a.safetensors"}`:                      "neither a comma nor the end",
		`{"metadata":{"total_size":` + strings.Repeat("[", 20000) + `}`: "metadata",
	} {
		write(t, filepath.Join(dir, indexFile), []byte(index))
		f, err := Open(dir)
		if err == nil {
			f.Close()
		}
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v\ndoes not say %q", index, err, want)
		}
	}
}

func TestAnEmptyTensorOverlapsNothing(t *testing.T) {
	header := `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},
		"c":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}`
	f, err := Open(write(t, filepath.Join(t.TempDir(), "m.safetensors"), withHeader(header, 8)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := f.Tensor("b").Elems(); n != 0 || len(f.Tensors()) != 3 {
		t.Fatal(n, f.Tensors())
	}
	f.Tensor("b").Release(0, 0)
	f.Tensor("c").Release(0, 0)
}

// TestHostileFilesTakeNoMoreMemoryThanPromised opens the files that ask for most, and bounds the heap
// at its highest by the file's size and 64 MiB. (The mapping itself is not on the heap.)
func TestHostileFilesTakeNoMoreMemoryThanPromised(t *testing.T) {
	gguf := func(make func(b *builder)) []byte { var b builder; make(&b); return b.Bytes() }
	entry := `"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},`
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	for name, data := range map[string][]byte{
		"m.gguf 2^60 keys":     gguf(func(b *builder) { b.start(3, 0, 1<<60); b.data(1 << 20) }),
		"m.gguf 2^60 tensors":  gguf(func(b *builder) { b.start(3, 1<<60, 0); b.data(1 << 20) }),
		"m.gguf a key of 2^60": gguf(func(b *builder) { b.start(3, 0, 1); b.u64(1 << 60); b.data(1 << 20) }),
		"m.gguf 2^60 strings": gguf(func(b *builder) {
			b.start(3, 0, 1)
			b.str("k")
			b.u32(9)
			b.u32(8)
			b.u64(1 << 60)
			b.data(1 << 20)
		}),
		"m.gguf 2^60 dimensions": gguf(func(b *builder) { b.start(3, 1, 0); b.tensor("t", 0, 0, 1<<60, 1<<60, 1<<60, 1<<60); b.data(1 << 20) }),
		"m.gguf many tensors": gguf(func(b *builder) {
			const n = 1 << 17
			b.start(3, n, 0)
			for i := range n {
				b.tensor(fmt.Sprint(i), 0, uint64(32*i), 8)
			}
			b.data(32 * n)
		}),
		"m.gguf many wrong tensors": gguf(func(b *builder) {
			const n = 1 << 18
			b.start(3, n, 0)
			for i := range n {
				b.tensor(fmt.Sprint(i), 77, 0)
			}
		}),
		"m.gguf many keys": gguf(func(b *builder) {
			const n = 1 << 16
			b.start(3, 0, n)
			for i := range n {
				b.str(fmt.Sprint(i))
				b.u32(0)
				b.WriteByte(1)
			}
		}),
		"m.safetensors many tensors":  withHeader("{"+many(3<<16, entry)+"}", 0),
		"m.safetensors too many":      withHeader("{"+many(1<<18, entry)+"}", 0),
		"m.safetensors wrong tensors": withHeader("{"+many(1<<18, `"%d":{"dtype":"F32","shape":[9],"data_offsets":[0,0]},`)+"}", 0),
		"m.safetensors one long name": withHeader(`{"`+strings.Repeat("a", 32<<20)+`":1}`, 0),
		"m.safetensors one big entry": withHeader(`{"a":{"shape":[`+strings.Repeat("0,", 16<<20)+`0]}}`, 0),
		"m.safetensors big metadata":  withHeader(`{"__metadata__":{"a":"`+strings.Repeat("a", 32<<20)+`"}}`, 0),
		"m.safetensors deep":          withHeader(`{"a":`+strings.Repeat("[", 16<<20)+`}`, 0),
		indexFile:                     []byte(`{"weight_map":{` + many(1<<20, `"%d":"a.safetensors",`) + `}}`),
	} {
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, " ")
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, file), data)
			if file == indexFile {
				path = dir
			}
			peak := heapPeak(func() {
				f, err := Open(path)
				t.Logf("%.150v", err)
				if err == nil {
					f.Close()
				}
			})
			if most := uint64(len(data)) + 64<<20; peak > most {
				t.Errorf("took %d MiB for a file of %d", peak>>20, len(data)>>20)
			} else {
				t.Logf("took %d MiB for a file of %d", peak>>20, len(data)>>20)
			}
		})
	}
}

// heapPeak is how far the heap grows while f runs, seen from the side; garbage is collected at once.
func heapPeak(f func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before, peak := stats.HeapAlloc, stats.HeapAlloc
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for {
		select {
		case <-done:
			runtime.ReadMemStats(&stats)
			return max(peak, stats.HeapAlloc) - before
		case <-time.After(2 * time.Millisecond):
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc)
		}
	}
}

// FuzzSplit opens a set of two parts.
func FuzzSplit(f *testing.F) {
	part := func(no byte, keys int) []byte {
		var b builder
		b.start(3, 1, uint64(keys))
		for _, k := range []struct {
			name  string
			value byte
		}{{"split.no", no}, {"split.count", 2}, {"split.tensors.count", 2}}[:keys] {
			b.str(k.name)
			b.u32(2)
			b.Write([]byte{k.value, 0})
		}
		b.tensor(fmt.Sprintf("t%d", no), 0, 0, 8)
		b.data(32)
		return b.Bytes()
	}
	f.Add(part(0, 3), part(1, 3))
	f.Add(part(0, 3), part(0, 2))
	f.Add(part(1, 3), []byte("GGUF"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "m-00002-of-00002.gguf"), second)
		use(t, write(t, filepath.Join(dir, "m-00001-of-00002.gguf"), first))
	})
}

// FuzzSharded opens an index with one shard.
func FuzzSharded(f *testing.F) {
	shard := withHeader(`{"x":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}`, 8)
	f.Add([]byte(`{"metadata":{"total_size":8},"weight_map":{"x":"a.safetensors"}}`), shard)
	f.Add([]byte(`{"weight_map":{"x":"b.safetensors"}}`), shard)
	f.Add([]byte(`{"weight_map":{"x":"a.safetensors","x":"a.safetensors"}}`), withHeader(`{"x":{"dtype":"I64","shape":[],"data_offsets":[0,8]}}`, 8))
	f.Fuzz(func(t *testing.T, index, shard []byte) {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.safetensors"), shard)
		write(t, filepath.Join(dir, indexFile), index)
		use(t, dir)
	})
}

// use opens a path and touches all that an opened file offers.
func use(t *testing.T, path string) {
	t.Helper()
	file, err := Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	for _, x := range file.Tensors() {
		if x.Bytes() != len(x.Data()) || x.Elems() < 0 || file.Tensor(x.Name) != x {
			t.Fatal(x)
		}
	}
	for _, key := range file.Meta.Keys() {
		file.Meta.Value(key)
		file.Meta.Ints(key)
		file.Meta.Strings(key)
	}
}

// FuzzObject compares eachEntry with encoding/json.
func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, ` { "a" : 1 , "b":[{"c":"}\"]"}], "a":null } `, `{"a":1,}`, `{"a" 1}`, `{"a":1}x`, `{"\u0041":tru}`, `[]`, `{"a":"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		got := map[string]json.RawMessage{}
		err := eachEntry(object, func(key string, value []byte) error { got[key] = value; return nil })
		var want map[string]json.RawMessage
		valid := json.Unmarshal(object, &want) == nil && !bytes.Equal(bytes.TrimSpace(object), []byte("null"))
		if valid != (err == nil) {
			t.Fatalf("%q: %v, encoding/json takes it: %v", object, err, valid)
		}
		if err == nil && len(got) != len(want) {
			t.Fatalf("%q: %v, encoding/json says %v", object, got, want)
		}
		for key, v := range want {
			if err == nil && !bytes.Equal(got[key], v) {
				t.Fatalf("%q: %q is %q, encoding/json says %q", object, key, got[key], v)
			}
		}
	})
}
