package tokenizer

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
	"github.com/galerne-ai/galerne/internal/testdeps"
	"pgregory.net/rapid"
)

var anyText = rapid.OneOf(
	rapid.String(),
	rapid.StringMatching(`[a-zA-Z .,'0-9\n\t]{0,80}`),
	rapid.StringMatching(`( |\n|\t|'s|é|世|👩‍👧|▁|<s>|<\|im_end\|>|<0x0A>|=|7){0,30}`),
)

func TestBytesComeBack(t *testing.T) {
	for name, tok := range vocabularies(t) {
		if tok.kind == "wordpiece" || tok.kind == "unigram" {
			continue // their normalizers lose text
		}
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				text := anyText.Draw(t, "text")
				want := text
				if name == "llama2" || name == "gemma4" {
					want = strings.ReplaceAll(text, "▁", " ") // these write spaces so
				}
				if got := tok.Decode(tok.Encode(nil, text, EncodeOptions{}), false); got != want {
					t.Fatalf("got %q", got)
				}
				if got := tok.Decode(tok.Encode(nil, text, EncodeOptions{ParseSpecial: true}), false); got != want && name != "llama2" { // a space follows its special tokens
					t.Fatalf("with special tokens: got %q", got)
				}
			})
		})
	}
}

// TestNobodysTextMakesControlTokens: without ParseSpecial no text can end a turn or begin a role.
func TestNobodysTextMakesControlTokens(t *testing.T) {
	for name, tok := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			for id, c := range tok.class {
				if c != control {
					continue
				}
				for _, got := range tok.Encode(nil, "a"+tok.tokens[id]+" b", EncodeOptions{}) {
					if tok.class[got] == control {
						t.Fatalf("%q became the control token %d", tok.tokens[id], got)
					}
				}
			}
		})
	}
}

func TestStreamedTextIsWholeCharactersAndEqualsTheWhole(t *testing.T) {
	for name, tok := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var ids []int32
				if rapid.Bool().Draw(t, "random ids") {
					ids = rapid.SliceOfN(rapid.Int32Range(-1, int32(tok.Size())), 0, 30).Draw(t, "ids")
				} else {
					ids = tok.Encode(nil, anyText.Draw(t, "text"), EncodeOptions{})
				}
				skip := rapid.Bool().Draw(t, "skip")
				d := tok.NewDecoder(skip)
				var out []byte
				for _, id := range ids {
					part := d.Append(id)
					if !utf8.Valid(part) {
						t.Fatalf("half a character: %q", part)
					}
					out = append(out, part...)
				}
				out = append(out, d.Flush()...)
				if !utf8.Valid(out) || string(out) != tok.Decode(ids, skip) {
					t.Fatalf("streamed %q, whole %q", out, tok.Decode(ids, skip))
				}
			})
		})
	}
}

// TestWordsThatWereSeenBefore: the cache changes nothing, and many may use a tokenizer at once.
func TestWordsThatWereSeenBefore(t *testing.T) {
	text := prose(t)[:200_000]
	for name, tok := range vocabularies(t) {
		t.Run(name, func(t *testing.T) {
			want := tok.Encode(nil, text, EncodeOptions{})
			done := make(chan []int32, 4)
			for range cap(done) {
				go func() { done <- tok.Encode(nil, text, EncodeOptions{}) }()
			}
			for range cap(done) {
				if got := <-done; !slices.Equal(got, want) {
					t.Error("the second time gives other tokens")
				}
			}
		})
	}
}

// TestBordersChangeNothing compares with merging the whole text at once.
func TestBordersChangeNothing(t *testing.T) {
	all := vocabularies(t)
	for _, name := range []string{"llama2", "gemma4"} {
		whole := load(t, testdeps.Dep(t, "llama.cpp/models/ggml-vocab-"+map[string]string{"llama2": "llama-spm", "gemma4": "gemma-4"}[name]+".gguf"))
		switch m := whole.model.(type) {
		case *spm:
			m.borders = nil
		case *bpe:
			m.borders = nil
		}
		check := func(text string) bool {
			return slices.Equal(all[name].Encode(nil, text, EncodeOptions{}), whole.Encode(nil, text, EncodeOptions{}))
		}
		if !check(prose(t)[:300_000]) {
			t.Errorf("%s: prose differs", name)
		}
		rapid.Check(t, func(t *rapid.T) {
			if text := anyText.Draw(t, "text"); !check(text) {
				t.Fatalf("%s: %q differs", name, text)
			}
		})
	}
}

func TestOpenFolder(t *testing.T) {
	dir := testdeps.Dep(t, "models/all-minilm-l6-v2")
	tok, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.Encode(nil, "Hello, world", EncodeOptions{AddSpecial: true})
	if want := []int32{101, 7592, 1010, 2088, 102}; !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
	if bos, ok := tok.BOS(); !ok || bos != 101 || !tok.AddsBOS() {
		t.Errorf("BOS is %d, %v, added: %v", bos, ok, tok.AddsBOS())
	}
	empty := t.TempDir()
	if _, err := OpenFolder(empty); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(empty+"/tokenizer.model", []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFolder(empty); err == nil {
		t.Error("a broken tokenizer.model was read")
	}
}

// TestClassPatternsMatchAsTheRegexLibraryDoes compares the fast way with the pattern itself.
func TestClassPatternsMatchAsTheRegexLibraryDoes(t *testing.T) {
	for _, pattern := range []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, `\p{N}`, `\p{N}{1,3}`, deepseekLetters, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, "[\\p{P}\\$\\+<=>\\^~\\|`]+", `[a-f]{1,3}`} {
		fast := classMatcher(pattern)
		if fast == nil {
			t.Errorf("%s is not taken", pattern)
			continue
		}
		re := regexp2.MustCompile(pattern)
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.OneOf(anyText, rapid.StringMatching(`( |  |\n|a|B|é|世|　|，|!|-|1|22|४|\x{2003}){0,30}`)).Draw(t, "text")
			want, _ := re.FindAllStringIndex(text, -1)
			got := fast.find(nil, text)
			if len(got) != len(want) {
				t.Fatalf("%s in %q: %v, want %v", pattern, text, got, want)
			}
			for i, at := 0, 0; at < len(text); { // cutting gives the matches and what is between
				n := fast.cut(text, at)
				if i < len(got) && at == got[i].start {
					if n != got[i].end-at {
						t.Fatalf("%s cuts %q at %d+%d, want %v", pattern, text, at, n, got[i])
					}
					i++
				} else if i < len(got) && at+n != got[i].start || i == len(got) && at+n != len(text) {
					t.Fatalf("%s cuts %q at %d+%d, matches are %v", pattern, text, at, n, got)
				}
				at += n
			}
			for i := range want {
				if got[i] != (span{want[i][0], want[i][1]}) {
					t.Fatalf("%s in %q: %v, want %v", pattern, text, got, want)
				}
			}
		})
	}
	for _, pattern := range []string{`\s+$`, `[^a]`, `a+`, `[\s]+`, `\p{L}+x`, `[a]|[b]`, `\p{L}\+`, `[a-z&&[^b]]`, `\P{L}`, ``, `[`, `\s?`} {
		if classMatcher(pattern) != nil {
			t.Errorf("%s is taken", pattern)
		}
	}
}
