package main

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/galerne-ai/galerne/internal/chat"
	"github.com/galerne-ai/galerne/internal/fault"
)

func TestHalfCharactersAreFoundWhereverTheyAre(t *testing.T) {
	for text, want := range map[string]int{
		`"plain é 🌊"`:          -1,
		`"\ud83c\udf0a"`:       -1,
		`"\uD83C\uDF0A\u00e9"`: -1,
		`"\\ud83c"`:            -1, // a backslash and letters
		`"\\\ud83c"`:           3,
		`"\ud83c"`:             1,
		`"\ud83cx"`:            1,
		`"\ud83c\u0041"`:       1,
		`"\udf0a"`:             1,
		`"\ud83c\ud83c\udf0a"`: 1,
		`"ab\udf0a\ud83c"`:     3,
	} {
		if got := loneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// TestWhatEncodingJSONKeepsIsNoHalfCharacter: Go's decoder puts U+FFFD for half characters, and for
// nothing else.
func TestWhatEncodingJSONKeepsIsNoHalfCharacter(t *testing.T) {
	pieces := []string{`\ud83c`, `\udf0a`, `\u0041`, `\\`, `\"`, `a`, `é`, `u`, `d83c`, `\n`}
	rapid.Check(t, func(t *rapid.T) {
		text := `"` + strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "pieces"), "") + `"`
		var decoded string
		if json.Unmarshal([]byte(text), &decoded) != nil {
			t.Skip("not JSON")
		}
		lone := loneSurrogate([]byte(text)) >= 0
		if replaced := strings.ContainsRune(decoded, utf8.RuneError); lone != replaced {
			t.Errorf("%s decodes to %q, half a character: %v", text, decoded, lone)
		}
	})
}

func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		`{"messages":[{"role":"user","content":"Hi"}],"tools":[{"a":1}],"add_generation_prompt":true,"vars":{"x":[1,2.5,null]}}`,
		`{"messages":[{}],"documents":null}`, `{"messages":[[]]}`, `[]`, `null`, `{"vars":null}`, "{\n\"messages\": tru", `{"messages":[{"a":"\ud800"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // readInput has refused it
		}
		vars, err := promptVars(text, map[string]string{"bos_token": "<s>"})
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%q: %v is no fault of the input", text, err)
			}
			return
		}
		for _, name := range []string{"messages", "tools", "documents", "add_generation_prompt", "bos_token"} {
			if _, ok := vars.Get(name); !ok {
				t.Fatalf("%q gives no %s", text, name)
			}
		}
	})
}

func TestMetadataThatJSONCannotHoldStaysReadable(t *testing.T) {
	for _, c := range []struct{ v, want any }{
		{"text", "text"},
		{"\xff\x00", map[string]any{"base64": "/wA="}},
		{float32(math.Inf(-1)), "-Inf"},
		{math.NaN(), "NaN"},
		{float32(1e-5), 1e-5},
		{uint64(math.MaxUint64), float64(math.MaxUint64)},
	} {
		text, err := json.Marshal(scalarJSON(c.v))
		if err != nil {
			t.Errorf("%v: %v", c.v, err)
			continue
		}
		var got any
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v became %s, want %v (%v)", c.v, text, c.want, err)
		}
	}
	long := make([]int64, shortArray+1)
	if got, ok := arrayJSON("arr[u32]", long).(*longArray); !ok || got.Length != len(long) || len(got.First) != firstShown {
		t.Errorf("a long array became %v", got)
	}
	if got, ok := arrayJSON("arr[u32]", long[1:]).([]any); !ok || len(got) != shortArray {
		t.Errorf("a short array became %v", got)
	}
}

func TestSlashCommands(t *testing.T) {
	for text, want := range map[string][2]string{
		"/help":              {"help", ""},
		"/set top_p  0.5 ":   {"set", "top_p  0.5"},
		"/system a\nb":       {"system", "a\nb"},
		"/etc/hosts is what": {},
		"/ what":             {},
		"//help":             {},
		"what is /help":      {},
		"/a.txt":             {},
	} {
		name, rest, ok := slashCommand(text)
		if got := [2]string{name, rest}; ok != (want[0] != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", text, got, ok, want)
		}
	}
}

func TestSettingsTakeWhatIsPossibleAndSayWhatIs(t *testing.T) {
	s := &session{a: &app{err: &strings.Builder{}}}
	for _, line := range []string{"temperature 0.5", "TOP_K 40", "seed 18446744073709551615", "max_tokens 1", "repetition_penalty 1.1"} {
		if err := s.set(line); err != nil {
			t.Errorf("/set %s: %v", line, err)
		}
	}
	if *s.sampling.Temperature != 0.5 || *s.sampling.TopK != 40 || *s.sampling.Seed != math.MaxUint64 || *s.maxTokens != 1 {
		t.Errorf("%+v", s.sampling)
	}
	if err := s.set("temperature default"); err != nil || s.sampling.Temperature != nil {
		t.Errorf("the default does not come back: %v", err)
	}
	for _, line := range []string{"temperature -1", "temperature NaN", "top_p 1.01", "top_k 1.5", "seed -1", "max_tokens 0", "colour red", "top_k 99999999999999999999"} {
		if err := s.set(line); err == nil {
			t.Errorf("/set %s is taken", line)
		}
	}
}

func TestCommandsOfAConversation(t *testing.T) {
	s := &session{a: &app{err: &strings.Builder{}}, messages: []chat.Message{textMessage(chat.User, "one"), textMessage(chat.Assistant, "1"),
		textMessage(chat.User, "two"), textMessage(chat.Assistant, "2")}}
	again, err := s.run("retry", "")
	if again != "two" || err != nil || len(s.messages) != 2 {
		t.Errorf("retry: %q, %v, %d messages", again, err, len(s.messages))
	}
	if _, err := s.run("undo", ""); err != nil || len(s.messages) != 0 {
		t.Errorf("undo: %v, %d messages", err, len(s.messages))
	}
	if _, err := s.run("undo", ""); err == nil {
		t.Error("nothing is taken back without an error")
	}
	if _, err := s.run("save", t.TempDir()+"/x.json"); err == nil {
		t.Error("nothing is saved without an error")
	}
	if _, err := s.run("system", "Be kind."); err != nil || len(s.request().Messages) != 1 {
		t.Errorf("instructions are no message: %v", err)
	}
	if _, err := s.run("bye", ""); !errors.Is(err, errBye) {
		t.Errorf("bye: %v", err)
	}
}

func TestMedians(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 100}, 3.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

func TestTheErrorOfAMeanIsThatOfItsSample(t *testing.T) {
	// Of 1, 2, 3, 4 the sample's deviation is sqrt(5/3), and the error of the mean half of that.
	d := &divergences{Compared: 4, Mean: 1 + 2 + 3 + 4, Error: 1 + 4 + 9 + 16}
	d.finish()
	if d.Mean != 2.5 || math.Abs(d.Error-math.Sqrt(5.0/3)/2) > 1e-12 {
		t.Errorf("%v, give or take %v", d.Mean, d.Error)
	}
	d = &divergences{Compared: 1, Mean: 3, Error: 9}
	if d.finish(); d.Mean != 3 || d.Error != 0 {
		t.Errorf("one position: %v, give or take %v", d.Mean, d.Error)
	}
}
