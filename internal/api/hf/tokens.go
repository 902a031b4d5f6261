package hf

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// tokenizeBody asks for the tokens of texts, without what tokenizeFields lists. TGI's form has
// parameters, and gets one flat list; TEI's gets a list for every text.
type tokenizeBody struct {
	Inputs     json.RawMessage `json:"inputs"`
	AddSpecial *bool           `json:"add_special_tokens"`
	Parameters json.RawMessage `json:"parameters"`
	Model      string          `json:"model"`
}

// simpleToken is a token and where it stands, in characters; null where it does not stand in the text.
type simpleToken struct {
	ID      int32  `json:"id"`
	Text    string `json:"text"`
	Special bool   `json:"special"`
	Start   *int   `json:"start"`
	Stop    *int   `json:"stop"`
}

// tokenize answers POST /tokenize.
func tokenize(c *api.Call) error {
	var b tokenizeBody
	if err := c.Decode(&b, tokenizeFields()); err != nil {
		return err
	}
	texts, ids, err := readInputs(b.Inputs)
	switch {
	case err != nil:
		return err
	case ids != nil:
		return invalid("inputs", "inputs must be a string or an array of strings")
	}
	name := named(c, b.Model)
	if isNull(b.Parameters) {
		if name, err = embedder(c, name); err != nil {
			return err
		}
	}
	out := make([][]simpleToken, len(texts))
	for i, t := range texts {
		got, err := c.Backend.Tokenize(c.R.Context(), name, t, b.AddSpecial == nil || *b.AddSpecial)
		if err != nil {
			return err
		}
		out[i] = placed(t, got)
	}
	if !isNull(b.Parameters) && len(out) == 1 {
		return c.JSON(http.StatusOK, out[0])
	}
	return c.JSON(http.StatusOK, out)
}

// placed finds where tokens stand in their text, one after the other. Vocabularies that change a text
// (its case, its spaces) have tokens that are not found: they have no place.
func placed(text string, tokens []chat.Token) []simpleToken {
	out := make([]simpleToken, len(tokens))
	rest, at := text, 0 // what has no token yet, and how many characters came before
	for i := range tokens {
		t := &tokens[i]
		out[i] = simpleToken{ID: t.ID, Text: strings.ToValidUTF8(string(t.Bytes), "\uFFFD"), Special: t.Special}
		if t.Special || len(t.Bytes) == 0 {
			continue
		}
		word, begin := string(t.Bytes), rest
		if strings.HasPrefix(begin, word) && !utf8.ValidString(word) { // a part of a character
			rest = rest[len(word):]
			for _, b := range t.Bytes {
				if utf8.RuneStart(b) {
					at++
				}
			}
			continue
		}
		if !strings.HasPrefix(begin, word) {
			word = strings.TrimPrefix(strings.TrimLeft(word, " "), "##")
			begin = strings.TrimLeftFunc(rest, unicode.IsSpace)
		}
		if word == "" || len(begin) < len(word) || !strings.EqualFold(begin[:len(word)], word) {
			continue
		}
		start := at + utf8.RuneCountInString(rest[:len(rest)-len(begin)])
		stop := start + utf8.RuneCountInString(word)
		out[i].Start, out[i].Stop = &start, &stop
		rest, at = begin[len(word):], stop
	}
	return out
}

// decodeBody asks for the text of tokens.
type decodeBody struct {
	IDs         json.RawMessage `json:"ids"`
	SkipSpecial *bool           `json:"skip_special_tokens"`
	Model       string          `json:"model"`
}

// decode answers POST /decode.
func decode(c *api.Call) error {
	var b decodeBody
	if err := c.Decode(&b, nil); err != nil {
		return err
	}
	if b.SkipSpecial != nil && !*b.SkipSpecial {
		return unsupported("skip_special_tokens", "skip_special_tokens is false: special tokens are never part of a text")
	}
	if isNull(b.IDs) {
		return missing("ids")
	}
	var lists [][]int32
	if rest := strings.TrimLeft(string(b.IDs[1:]), " \t\r\n"); b.IDs[0] == '[' && !strings.HasPrefix(rest, "[") {
		lists = make([][]int32, 1)
		if err := api.Decode("ids", b.IDs, &lists[0], false); err != nil {
			return err
		}
	} else if err := api.Decode("ids", b.IDs, &lists, false); err != nil {
		return err
	}
	name, err := embedder(c, named(c, b.Model))
	if err != nil {
		return err
	}
	out := make([]string, len(lists))
	for i, ids := range lists {
		if out[i], err = c.Backend.Detokenize(c.R.Context(), name, ids); err != nil {
			return err
		}
	}
	return c.JSON(http.StatusOK, out)
}

// about describes a model as TGI and TEI do.
type about struct {
	ModelID        string  `json:"model_id"`
	ModelSHA       *string `json:"model_sha"`
	ModelDtype     string  `json:"model_dtype"`
	ModelType      any     `json:"model_type,omitempty"`
	Pipeline       string  `json:"model_pipeline_tag"`
	MaxInput       int     `json:"max_input_tokens"`
	MaxInputLength int     `json:"max_input_length"`
	MaxTotal       int     `json:"max_total_tokens"`
	MaxBestOf      int     `json:"max_best_of"`
	MaxStops       int     `json:"max_stop_sequences"`
	MaxBatch       int     `json:"max_client_batch_size"`
	Router         string  `json:"router"`
	Version        string  `json:"version"`
}

// info answers GET /info: of the default model, or of one that the query names.
func info(c *api.Call) error { return describe(c, c.R.URL.Query().Get("model")) }

// infoAtModel answers GET /models/NAME/info, and the same with /health.
func infoAtModel(c *api.Call) error {
	name, alive := strings.CutSuffix(c.R.PathValue("model"), "/health")
	if alive {
		if _, err := c.Backend.Model(c.R.Context(), name); err != nil {
			return err
		}
		return health(c)
	}
	return describe(c, strings.TrimSuffix(name, "/info"))
}

func describe(c *api.Call, name string) error {
	m, err := c.Backend.Model(c.R.Context(), name)
	if err != nil {
		return err
	}
	out := about{ModelID: m.Name, ModelDtype: m.Quantization, Pipeline: "text-generation", MaxInput: max(m.Context-1, 0), MaxInputLength: m.Context,
		MaxTotal: m.Context, MaxBestOf: 1, MaxStops: maxStops, MaxBatch: maxInputs, Router: "galerne", Version: "galerne"}
	if m.Digest != "" {
		out.ModelSHA = &m.Digest
	}
	if len(m.Labels) > 0 {
		kind := "classifier"
		if m.Ranks() {
			kind = "reranker"
		}
		names, numbers := map[string]string{}, map[string]int{}
		for i, label := range m.Labels {
			names[strconv.Itoa(i)], numbers[label] = label, i
		}
		out.Pipeline, out.ModelType = "text-classification", map[string]any{kind: map[string]any{"id2label": names, "label2id": numbers}}
	} else if onlyEmbeds(m) {
		out.Pipeline, out.ModelType = "feature-extraction", map[string]any{"embedding": map[string]string{"pooling": "mean"}}
	}
	return c.JSON(http.StatusOK, &out)
}

// health answers GET /health: the server answers, and so is well.
func health(c *api.Call) error {
	c.W.WriteHeader(http.StatusOK)
	return nil
}
