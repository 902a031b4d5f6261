package cohere

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/galerne-ai/galerne/internal/api"
	"github.com/galerne-ai/galerne/internal/chat"
)

// classifyBody is the request of /v1/classify, without what classifyFields lists.
type classifyBody struct {
	Model    string    `json:"model"`
	Inputs   []*string `json:"inputs"`
	Truncate string    `json:"truncate"`
}

type classifyAnswer struct {
	ID              string           `json:"id"`
	Classifications []classification `json:"classifications"`
	Meta            meta             `json:"meta"`
}

type classification struct {
	ID          string              `json:"id"`
	Input       string              `json:"input"`
	Prediction  string              `json:"prediction"`
	Predictions []string            `json:"predictions"`
	Confidence  float64             `json:"confidence"`
	Confidences []float64           `json:"confidences"`
	Labels      map[string]labelled `json:"labels"`
	Type        string              `json:"classification_type"`
}

type labelled struct {
	Confidence float64 `json:"confidence"`
}

const maxClassified = 96

// classify answers POST /v1/classify by a classifier that is served; none is made of examples here.
func classify(c *api.Call) error {
	var b classifyBody
	if err := c.Decode(&b, classifyFields()); err != nil {
		return err
	}
	name, err := c.First(b.Model, func(m *chat.Model) bool { return len(m.Labels) > 0 })
	if err != nil {
		return err
	}
	r := &chat.ClassifyRequest{Model: name}
	switch strings.ToUpper(b.Truncate) {
	case "", "END":
		r.Truncate = true
	case "NONE":
	default:
		return unsupported("truncate", "truncate is %q: only NONE and END are possible", b.Truncate)
	}
	if n := len(b.Inputs); n == 0 || n > maxClassified {
		return invalid("inputs", "there are %d inputs: there must be from 1 to %d", n, maxClassified)
	}
	for i, text := range b.Inputs {
		if text == nil {
			at := fmt.Sprintf("inputs[%d]", i)
			return invalid(at, "%s is null: it must be a string", at)
		}
		r.Texts = append(r.Texts, chat.Classified{Text: *text})
	}
	got, err := c.Backend.Classify(c.R.Context(), r)
	if err != nil {
		return err
	}
	out := classifyAnswer{ID: answerID(c.ID), Meta: metaOf("1", &billed{Input: &got.Tokens})}
	for i, scores := range got.Scores {
		x := classification{ID: fmt.Sprintf("%s-%d", out.ID, i), Input: r.Texts[i].Text, Labels: map[string]labelled{}, Type: "single-label"}
		for k, label := range got.Labels {
			x.Labels[label] = labelled{scores[k]}
			if k == 0 || scores[k] > x.Confidence {
				x.Prediction, x.Confidence = label, scores[k]
			}
		}
		x.Predictions, x.Confidences = []string{x.Prediction}, []float64{x.Confidence}
		out.Classifications = append(out.Classifications, x)
	}
	return c.JSON(http.StatusOK, &out)
}
