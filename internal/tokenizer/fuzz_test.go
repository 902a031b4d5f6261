package tokenizer

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallJSON are tokenizer.json files with every kind of part.
var smallJSON = []string{
	`{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"Ġ":3,"Ġab":4},"merges":["a b",["Ġ","ab"]]},"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":true},"decoder":{"type":"ByteLevel"},
	"added_tokens":[{"id":5,"content":"<s>","special":true},{"id":6,"content":"<x>","lstrip":true,"rstrip":true,"single_word":true}],
	"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[5]}}}}`,
	`{"model":{"type":"BPE","unk_token":"?","fuse_unk":true,"byte_fallback":true,"vocab":{"?":0,"▁":1,"a":2,"▁a":3,"<0xE2>":4},"merges":["▁ a"]},
	"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
	"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}}`,
	`{"model":{"type":"Unigram","unk_id":0,"vocab":[["?",0],["a",-1.5],["aa",-2.25],["▁a",-0.1]]},"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first"},
	"normalizer":{"type":"Precompiled","precompiled_charsmap":""},"decoder":{"type":"Metaspace","replacement":"▁"}}`,
	`{"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":9,"vocab":{"[UNK]":0,"a":1,"##b":2}},"normalizer":{"type":"BertNormalizer","lowercase":true},
	"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"BertPreTokenizer"},{"type":"Digits"},{"type":"Split","pattern":{"Regex":"\\d(?!x)"},"behavior":"MergedWithNext"}]},
	"decoder":{"type":"WordPiece","prefix":"##"},"post_processor":{"type":"BertProcessing","cls":["[UNK]",0],"sep":["a",1]}}`,
}

const smallConfig = `{"bos_token":"<s>","eos_token":{"content":"b"},"add_bos_token":true,"chat_template":[{"name":"default","template":"x"},{"name":"tool_use","template":"y"}]}`

// use does with a tokenizer all that callers do.
func use(t *testing.T, tok *Tokenizer, text string) {
	for _, o := range []EncodeOptions{{}, {AddSpecial: true, ParseSpecial: true}} {
		ids := tok.Encode(nil, text, o)
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Size() {
				t.Fatalf("%q gives token %d of %d", text, id, tok.Size())
			}
		}
		again := tok.Encode(nil, text, o)
		if !slices.Equal(ids, again) {
			t.Fatalf("%q gives %v, then %v", text, ids, again)
		}
		for _, most := range []int{0, 1, 7} {
			if pair, kinds, _ := tok.Pair(ids, again, most); len(pair) != len(kinds) || !tok.Pairs() && len(pair) > 0 {
				t.Fatalf("%q twice, in %d: %v %v", text, most, pair, kinds)
			}
		}
		tok.Decode(ids, false)
		tok.Decode(ids, true)
	}
	for id := int32(-1); id <= int32(tok.Size()); id++ {
		tok.Token(id)
		tok.Piece(id)
		tok.Special(id)
	}
	for _, id := range tok.EndIDs() {
		if id < 0 || int(id) >= tok.Size() {
			t.Fatalf("end token %d of %d", id, tok.Size())
		}
	}
}

func known(err error) bool { return errors.Is(err, ErrVocabulary) || errors.Is(err, ErrUnsupported) }

func FuzzFromJSON(f *testing.F) {
	for _, s := range smallJSON {
		f.Add([]byte(s), []byte(smallConfig), "ab a <s> é\xE2▁a1")
	}
	f.Fuzz(func(t *testing.T, file, config []byte, text string) {
		tok, err := FromJSON(file, config)
		if err != nil {
			if !known(err) {
				t.Fatalf("an error of no known cause: %v", err)
			}
			return
		}
		if len(text) > 1000 {
			text = text[:1000]
		}
		use(t, tok, text)
	})
}

// fuzzMeta is a GGUF file's key-values as a fuzzer can make them: JSON.
type fuzzMeta map[string]any

func list[T any](m fuzzMeta, key string) (out []T, ok bool) {
	values, ok := m[strings.TrimPrefix(key, "tokenizer.ggml.")].([]any)
	for _, v := range values {
		one, same := v.(T)
		if !same {
			return nil, false
		}
		out = append(out, one)
	}
	return out, ok
}

func (m fuzzMeta) String(key string) (string, bool) {
	v, ok := m[strings.TrimPrefix(key, "tokenizer.ggml.")].(string)
	return v, ok
}

func (m fuzzMeta) Bool(key string) (bool, bool) {
	v, ok := m[strings.TrimPrefix(key, "tokenizer.ggml.")].(bool)
	return v, ok
}

func (m fuzzMeta) Int(key string) (int64, bool) {
	v, ok := m[strings.TrimPrefix(key, "tokenizer.ggml.")].(float64)
	return int64(v), ok
}

func (m fuzzMeta) Strings(key string) ([]string, bool) { return list[string](m, key) }
func (m fuzzMeta) Floats(key string) ([]float64, bool) { return list[float64](m, key) }
func (m fuzzMeta) Ints(key string) (out []int64, ok bool) {
	values, ok := list[float64](m, key)
	for _, v := range values {
		out = append(out, int64(v))
	}
	return out, ok
}

var smallMeta = []string{
	`{"model":"gpt2","pre":"llama-bpe","tokens":["a","b","ab","Ġ","<s>","<u>"],"token_type":[1,1,1,1,3,4],"merges":["a b"],"bos_token_id":4,"eos_token_id":4,"add_bos_token":true}`,
	`{"model":"gpt2","pre":"deepseek-coder","tokens":["a","b"],"merges":[]}`,
	`{"model":"gemma4","tokens":["<pad>","a","▁","▁a","<0x0A>","x"],"token_type":[3,1,1,1,6,1],"merges":["▁ a"],"bos_token_id":0}`,
	`{"model":"llama","tokens":["<unk>","<s>","</s>","a","▁","▁a","<0x0A>"],"token_type":[2,3,3,1,1,1,6],"scores":[0,0,0,-1,-2,-0.5,0],"bos_token_id":1,"eos_token_id":2,"add_eos_token":true}`,
	`{"model":"bert","tokens":["[UNK]","[CLS]","[SEP]","▁a","b"],"token_type":[3,3,3,1,1],"unknown_token_id":0,"cls_token_id":1,"seperator_token_id":2}`,
	`{"model":"t5","tokens":["<unk>","</s>","a","▁a"],"token_type":[2,3,1,1],"scores":[0,0,-1,-0.5],"unknown_token_id":0,"eos_token_id":1,"precompiled_charsmap":[4,0,0,0,0,0,0,0,97,0],"remove_extra_whitespaces":true}`,
}

func FuzzFromGGUF(f *testing.F) {
	for _, s := range smallMeta {
		f.Add(s, "ab a <s> é\xE2▁a1\n")
	}
	f.Fuzz(func(t *testing.T, text, input string) {
		var m fuzzMeta
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		tok, err := FromGGUF(m)
		if err != nil {
			if !known(err) {
				t.Fatalf("an error of no known cause: %v", err)
			}
			return
		}
		use(t, tok, input[:min(len(input), 1000)])
	})
}

func FuzzFromSentencePiece(f *testing.F) {
	f.Add([]byte("\x0a\x07\x0a\x01a\x15\x00\x00\x80\xbf\x0a\x09\x0a\x05<unk>\x18\x02\x12\x06\x18\x02\xc0\x02\x01\xc8\x02\x00\x1a\x02\x18\x01"), "a b")
	f.Fuzz(func(t *testing.T, model []byte, text string) {
		tok, err := fromSentencePiece(model)
		if err != nil {
			if !known(err) {
				t.Fatalf("an error of no known cause: %v", err)
			}
			return
		}
		use(t, tok, text[:min(len(text), 1000)])
	})
}

func FuzzEncode(f *testing.F) {
	if _, err := os.Stat("../../.deps/llama.cpp/models"); err != nil {
		f.Skip("NOT TESTED: run `make deps`")
	}
	all := vocabularies(f)
	kinds := slices.Sorted(maps.Keys(all))
	f.Add(uint8(0), "Hello\r\n\n  world's 12345 <|im_end|> é\u0301 世界 👩‍👧 \xE2\x96 ▁ \x00", true)
	f.Fuzz(func(t *testing.T, kind uint8, text string, parse bool) {
		tok := all[kinds[int(kind)%len(kinds)]]
		ids := tok.Encode(nil, text, EncodeOptions{ParseSpecial: parse})
		for _, id := range ids {
			if tok.Token(id) == "" {
				t.Fatalf("token %d has no text", id)
			}
		}
		tok.Decode(ids, false)
	})
}

func TestSmallFilesAreRead(t *testing.T) {
	for _, s := range smallJSON {
		tok, err := FromJSON([]byte(s), []byte(smallConfig))
		if err != nil {
			t.Error(err)
			continue
		}
		use(t, tok, "ab a <s> é1")
		if tool, ok := tok.ChatTemplate("tool_use"); !ok || tool != "y" {
			t.Errorf("template %q, %v", tool, ok)
		}
	}
	for _, s := range smallMeta {
		var m fuzzMeta
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			t.Fatal(err)
		}
		tok, err := FromGGUF(m)
		if err != nil {
			t.Error(s, err)
			continue
		}
		use(t, tok, "ab a <s> é1")
	}
}

// TestHostileFilesGetErrors changes one thing in a good file; the error names it.
func TestHostileFilesGetErrors(t *testing.T) {
	for _, c := range []struct {
		file              int
		from, to, mention string
	}{
		{0, `"ab":2`, `"ab":-2`, "id -2"},
		{0, `"ab":2`, `"ab":2000000000`, "id 2000000000"},
		{0, `"ab":2`, `"ab":1`, "same id"},
		{0, `"a b"`, `"a c"`, "merge 0"},
		{0, `"a b"`, `"ab"`, "merge"},
		{0, `["Ġ","ab"]`, `["Ġ","ab","a"]`, "3 tokens"},
		{0, `"id":5,`, `"id":1,`, `"<s>"`},
		{0, `"id":5,`, `"id":9999999,`, "9999999"},
		{0, `"ids":[5]`, `"ids":[77]`, "77"},
		{0, `{"SpecialToken":{"id":"<s>"}}`, `{"SpecialToken":{"id":"<t>"}}`, "<t>"},
		{0, `"type":"BPE"`, `"type":"WordLevel"`, "WordLevel"},
		{0, `"type":"BPE"`, `"type":"BPE","dropout":0.1`, "dropout"},
		{0, `<x>`, strings.Repeat("<x>", 200), "600 bytes"},
		{0, `"type":"ByteLevel","add`, `"type":"UnicodeScripts","add`, "UnicodeScripts"},
		{1, `"type":"Prepend"`, `"type":"Appendix"`, "Appendix"},
		{1, `"prepend":"▁"`, `"prepend":"` + strings.Repeat("x", 2000) + `"`, "1024 times"},
		{1, `"stop":0`, `"stop":1`, "Strip"},
		{1, `"type":"Fuse"`, `"type":"CTC"`, "CTC"},
		{2, `"unk_id":0`, `"unk_id":4`, "unk_id is 4"},
		{2, `"unk_id":0,`, ``, "unk_id"},
		{2, `["a",-1.5]`, `["a"]`, "1 parts"},
		{2, `"precompiled_charsmap":""`, `"precompiled_charsmap":"/////w=="`, "charsmap"},
		{2, `"replacement":"▁","prepend`, `"replacement":"","prepend`, "replacement"},
		{3, `"unk_token":"[UNK]"`, `"unk_token":"[GONE]"`, "[GONE]"},
		{3, `\\d(?!x)`, `(`, "pattern"},
		{3, `\\d(?!x)`, `[[:alpha:]]`, "POSIX"},
		{3, `"MergedWithNext"`, `"Torn"`, "Torn"},
		{3, `"type":"BertProcessing"`, `"type":"OtherProcessing"`, "OtherProcessing"},
		{3, `{"type":"Digits"}`, strings.Repeat(`{"type":"Sequence","pretokenizers":[`, 20) + strings.Repeat(`]}`, 20), "deep"},
		{3, `{"type":"Digits"}`, `{"type":"Digits"}` + strings.Repeat(`,{"type":"Digits"}`, 100), "pre-tokenizers"},
	} {
		bad := strings.Replace(smallJSON[c.file], c.from, c.to, 1)
		if bad == smallJSON[c.file] {
			t.Errorf("nothing to replace: %s", c.from)
		}
		if _, err := FromJSON([]byte(bad), nil); !known(err) || !strings.Contains(err.Error(), c.mention) {
			t.Errorf("%s: %v", c.to[:min(len(c.to), 100)], err)
		}
	}
	for _, bad := range []string{``, `null`, `[]`, `{}`, `{"model":{}}`, `{"model":{"type":"BPE"}}`, `{"model":{"type":"Unigram","vocab":[]}}`} {
		if _, err := FromJSON([]byte(bad), nil); !known(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, c := range [][3]string{
		{`"bos_token_id":4`, `"bos_token_id":4294967296`, "bos_token_id"},
		{`[1,1,1,1,3,4]`, `[1,1,1,1,3]`, "5 token types"},
		{`[1,1,1,1,3,4]`, `[1,1,1,1,3,9]`, "type 9"},
		{`"llama-bpe"`, `"unheard-of"`, "unheard-of"},
		{`"a b"`, `"a c"`, "merge 0"},
		{`"gpt2"`, `"rwkv"`, "rwkv"},
	} {
		var m fuzzMeta
		if err := json.Unmarshal([]byte(strings.Replace(smallMeta[0], c[0], c[1], 1)), &m); err != nil {
			t.Fatal(err)
		}
		if _, err := FromGGUF(m); !known(err) || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v", c[1], err)
		}
	}
}

// TestAPatternThatBacktracksForeverEnds: the rest of the text stays in one part, and nothing is lost.
func TestAPatternThatBacktracksForeverEnds(t *testing.T) {
	file := strings.Replace(smallJSON[3], `\\d(?!x)`, `(a+)+$`, 1)
	tok, err := FromJSON([]byte(strings.Replace(file, `"max_input_chars_per_word":9`, `"max_input_chars_per_word":99`, 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []int32)
	go func() { done <- tok.Encode(nil, strings.Repeat("a", 60)+"b", EncodeOptions{}) }()
	select {
	case ids := <-done:
		if len(ids) == 0 {
			t.Error("the text is lost")
		}
	case <-time.After(time.Minute):
		t.Fatal("no end in sight")
	}
}

func TestOpenTellsWhatIsMissing(t *testing.T) {
	if _, err := Open(Source{}); !known(err) || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Error(err)
	}
	tok, err := Open(Source{JSON: []byte(smallJSON[0]), Config: []byte(smallConfig), ChatTemplate: []byte("z")})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := tok.ChatTemplate(""); got != "z" {
		t.Errorf("template %q", got)
	}
	if !slices.Equal(tok.EndIDs(), []int32{1}) {
		t.Errorf("ends %v", tok.EndIDs())
	}
	for generation, want := range map[string][]int32{`{"eos_token_id":2}`: {1, 2}, `{"eos_token_id":[2,0]}`: {0, 1, 2}, `{"eos_token_id":null}`: {1}, `{}`: {1}} {
		tok, err := Open(Source{JSON: []byte(smallJSON[0]), Config: []byte(smallConfig), Generation: []byte(generation)})
		if err != nil || !slices.Equal(tok.EndIDs(), want) {
			t.Errorf("%s: ends %v, %v", generation, tok.EndIDs(), err)
		}
	}
	for _, generation := range []string{`{"eos_token_id":99}`, `{"eos_token_id":"x"}`, `{`} {
		if _, err := Open(Source{JSON: []byte(smallJSON[0]), Generation: []byte(generation)}); !known(err) {
			t.Errorf("%s: %v", generation, err)
		}
	}
}

// TestPlainTextNeverBecomesASpecialToken, though models hold their names.
func TestPlainTextNeverBecomesASpecialToken(t *testing.T) {
	for _, file := range []string{
		`{"model":{"type":"Unigram","unk_id":0,"vocab":[["?",-9],["<",-3],["s",-3],[">",-3],["<s>",0]]},"added_tokens":[{"id":4,"content":"<s>","special":true}]}`,
		`{"model":{"type":"BPE","vocab":{"<":0,"s":1,">":2,"<s":3,"<s>":4},"merges":["< s","<s >"]},"added_tokens":[{"id":4,"content":"<s>","special":true}]}`,
		`{"model":{"type":"BPE","ignore_merges":true,"vocab":{"<":0,"s":1,">":2,"<s>":4},"merges":[]},"added_tokens":[{"id":4,"content":"<s>","special":true}]}`,
		`{"model":{"type":"WordPiece","unk_token":"?","vocab":{"?":0,"<":1,"##s":2,"##>":3,"<s>":4}},"added_tokens":[{"id":4,"content":"<s>","special":true}]}`,
	} {
		tok, err := FromJSON([]byte(file), nil)
		if err != nil {
			t.Fatal(err)
		}
		if ids := tok.Encode(nil, "<s>", EncodeOptions{}); slices.Contains(ids, 4) || len(ids) == 0 {
			t.Errorf("plain text became %v", ids)
		}
		if ids := tok.Encode(nil, "<s>", EncodeOptions{ParseSpecial: true}); !slices.Equal(ids, []int32{4}) {
			t.Errorf("parsed, it became %v", ids)
		}
	}
}
