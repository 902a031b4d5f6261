// Package house answers: is the house still in order? It has no code of its own; its test is
// the law of imports and shapes that ARCHITECTURE.md describes.
package house
