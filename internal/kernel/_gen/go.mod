module github.com/galerne-ai/galerne/internal/kernel/_gen

go 1.26
