package tokenizer

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/galerne-ai/galerne/internal/testdeps"
)

var referenceDir = flag.String("reference", "", "a folder that testdata/reference.py wrote, instead of running it again")

// reference is one tokenizer of testdata/reference.py and what it made of the texts.
type reference struct {
	Name, Kind, Path, GGUF, Like string
	Decodes                      bool
}

// TestReferenceImplementations compares ids and texts with Hugging Face's tokenizers, sentencepiece and
// tiktoken on 10,000 texts of all scripts for each of some 60 tokenizers.
func TestReferenceImplementations(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of Python")
	}
	testdeps.Dep(t, "llama.cpp/models")
	testdeps.Dep(t, "models/all-minilm-l6-v2")
	out := *referenceDir
	if out == "" {
		out = t.TempDir()
		testdeps.RunPython(t, "internal/tokenizer/testdata/reference.py", filepath.Join(testdeps.Root(t), ".deps"), out)
	}
	var texts []string
	readJSON(t, filepath.Join(out, "strings.json"), &texts)
	var list []reference
	readJSON(t, filepath.Join(out, "manifest.json"), &list)
	if len(texts) < 10_000 || len(list) < 50 {
		t.Fatalf("only %d texts, %d tokenizers", len(texts), len(list))
	}
	for _, r := range list {
		t.Run(r.Name, func(t *testing.T) {
			c := comparison{texts: texts, plain: readIDs(t, filepath.Join(out, r.Name+".plain")), parsed: readIDs(t, filepath.Join(out, r.Name+".parsed"))}
			tok := r.open(t)
			c.compare(t, r.Kind, tok, r.Kind == "json", false)
			if r.GGUF != "" {
				gguf := load(t, r.GGUF)
				c.compare(t, "gguf", gguf, r.Kind == "json", r.Kind == "sentencepiece")
				compareDecoding(t, filepath.Join(out, r.Name+".texts.json"), gguf, c, r)
			}
			compareDecoding(t, filepath.Join(out, r.Name+".texts.json"), tok, c, r)
			comparePairs(t, filepath.Join(out, r.Name+".pairs.json"), tok)
			if r.GGUF != "" && tok.kind == "wordpiece" {
				comparePairs(t, filepath.Join(out, r.Name+".pairs.json"), load(t, r.GGUF))
			}
		})
	}
}

func TestTwoTextsOfXLMRobertaInGGUFStandAsTheyWereTrained(t *testing.T) {
	tok := load(t, testdeps.Dep(t, "llama.cpp/models/ggml-vocab-nomic-bert-moe.gguf"))
	ids, kinds, cut := tok.Pair([]int32{10, 11}, []int32{12}, 0)
	if !slices.Equal(ids, []int32{0, 10, 11, 2, 2, 12, 2}) || !slices.Equal(kinds, make([]int32, 7)) || cut {
		t.Errorf("%v %v %v", ids, kinds, cut)
	}
}

// comparePairs holds two texts in one sequence against the reference's, whole and cut. Where there is no
// file, the reference puts nothing around them, and Pair must not know how either.
func comparePairs(t *testing.T, path string, tok *Tokenizer) {
	t.Helper()
	var list []struct {
		A, B       string
		Most       int
		IDs, Kinds []int32
	}
	if _, err := os.Stat(path); err != nil {
		if tok.Pairs() {
			t.Errorf("%s: there is a template for two texts, the reference has none", path)
		}
		return
	}
	readJSON(t, path, &list)
	wrong, cuts := 0, 0
	for _, p := range list {
		if tok.hasSpecialName(p.A) || tok.hasSpecialName(p.B) {
			continue // see compare
		}
		a, b := tok.Encode(nil, p.A, EncodeOptions{}), tok.Encode(nil, p.B, EncodeOptions{})
		ids, kinds, cut := tok.Pair(a, b, p.Most)
		whole, _, _ := tok.Pair(a, b, 0)
		if cut {
			cuts++
		}
		if (!slices.Equal(ids, p.IDs) || !slices.Equal(kinds, p.Kinds) || cut != (len(whole) > len(ids))) && wrong < 5 {
			wrong++
			t.Errorf("%q and %q in %d: cut %v\n got %v %v\nwant %v %v", p.A, p.B, p.Most, cut, ids, kinds, p.IDs, p.Kinds)
		}
	}
	if len(list) < 1000 || cuts < 100 {
		t.Errorf("%s: only %d pairs, %d cut", path, len(list), cuts)
	}
}

func (r reference) open(t *testing.T) *Tokenizer {
	raw, err := os.ReadFile(r.Path)
	if err != nil {
		t.Fatal(err)
	}
	var tok *Tokenizer
	switch r.Kind {
	case "json":
		tok, err = FromJSON(raw, nil)
	case "sentencepiece":
		tok, err = fromSentencePiece(raw)
	case "tekken":
		tok, err = fromTekken(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

type comparison struct {
	texts         []string
	plain, parsed [][]int32
}

// compare reports the first few differences; special tells that the reference found special tokens in
// the texts too; with plainOnly, texts that name an added token are left out.
func (c comparison) compare(t *testing.T, what string, tok *Tokenizer, special, plainOnly bool) {
	t.Helper()
	wrong := 0
	check := func(text string, want []int32, o EncodeOptions) {
		if got := tok.Encode(nil, text, o); !slices.Equal(got, want) {
			if wrong++; wrong <= 5 {
				t.Errorf("%s %+v %q\n got %v %q\nwant %v %q", what, o, text, got, names(tok, got), want, names(tok, want))
			}
		}
	}
	for i, text := range c.texts[:len(c.plain)] {
		if (plainOnly || tok.kind == "unigram" && special) && tok.hasSpecialName(text) {
			continue // the reference's Unigram makes special tokens of plain text; ours must not
		}
		check(text, c.plain[i], EncodeOptions{})
		if special {
			check(text, c.parsed[i], EncodeOptions{AddSpecial: true, ParseSpecial: true})
		} else if !tok.hasSpecialName(text) {
			check(text, c.parsed[i], EncodeOptions{AddSpecial: len(tok.after) == 0})
		}
	}
	if wrong > 5 {
		t.Errorf("%s: %d of %d differ", what, wrong, len(c.plain))
	}
}

func (t *Tokenizer) hasSpecialName(text string) bool {
	a, _, _ := t.raw.next(text, 0, true)
	return a != nil
}

func names(tok *Tokenizer, ids []int32) (out []string) {
	for _, id := range ids {
		out = append(out, tok.Token(id))
	}
	return out
}

func compareDecoding(t *testing.T, path string, tok *Tokenizer, c comparison, r reference) {
	t.Helper()
	if !r.Decodes {
		return
	}
	var want struct {
		Plain, Parsed, Random []string
		IDs                   [][]int32
	}
	readJSON(t, path, &want)
	wrong := 0
	check := func(ids []int32, want string, skip bool) {
		// Where bytes are no character, Hugging Face's ByteFallback gives one U+FFFD for each byte of the
		// run, its ByteLevel and we one for each part of a character.
		if got := tok.Decode(ids, skip); got != want && !strings.ContainsRune(want, 0xFFFD) {
			if wrong++; wrong <= 5 {
				t.Errorf("decoding %v %q\n got %q\nwant %q", ids, names(tok, ids), got, want)
			}
		}
	}
	for i, text := range want.Plain {
		check(c.plain[i], text, true)
	}
	if tok.kind == "wordpiece" && r.GGUF != "" {
		return // GGUF does not tell the spaces between special tokens, nor a "##" that begins a text
	}
	for i, text := range want.Parsed {
		check(c.parsed[i], text, false)
	}
	for i, text := range want.Random {
		check(want.IDs[i], text, true)
	}
	if wrong > 5 {
		t.Errorf("decoding: %d differ", wrong)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readIDs(t *testing.T, path string) (lists [][]int32) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(raw) > 0 {
		n := int(binary.LittleEndian.Uint32(raw))
		raw = raw[4:]
		list := make([]int32, n)
		for i := range list {
			list[i] = int32(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		lists, raw = append(lists, list), raw[4*n:]
	}
	return lists
}
