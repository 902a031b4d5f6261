// Package kv answers: where are a sequence's keys and values, and who shares them?
package kv

import "github.com/galerne-ai/galerne/internal/kernel"

// Span is one sequence's part of a step.
type Span = kernel.Span
